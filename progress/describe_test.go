package progress

import (
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
)

func TestDescribe(t *testing.T) {
	for want, p := range map[string]mp.Progress{
		"0/10  0.0/s":                     {Total: 10},
		"5/10  0.5/s  10s left":           {Done: 5, Total: 10, Elapsed: 10 * time.Second},
		"40  20/s":                        {Done: 40, Total: -1, Elapsed: 2 * time.Second},
		"10/10  10/s  in 1s  2 failed":    {Done: 10, Failed: 2, Total: 10, Elapsed: time.Second, Over: true},
		"1/3600  0.1/s  9h59m50s left":    {Done: 1, Total: 3600, Elapsed: 10 * time.Second},
		"100/200  1000/s  100ms left":     {Done: 100, Total: 200, Elapsed: 100 * time.Millisecond},
		"1/2  0.8/s  1.2s left":           {Done: 1, Total: 2, Elapsed: 1234 * time.Millisecond},
		"0/0  0.0/s  in 0s":               {Over: true},
		"3/5  3.0/s  in 1s  1 failed":     {Done: 3, Failed: 1, Total: 5, Elapsed: time.Second, Over: true},
		"2/4  200/s  10ms left  1 failed": {Done: 2, Failed: 1, Total: 4, Elapsed: 10 * time.Millisecond},
	} {
		if got := describe(p); got != want {
			t.Errorf("%+v is %q, not %q", p, got, want)
		}
	}
}
