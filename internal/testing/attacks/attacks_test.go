//go:build linux

package attacks_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/race"
	"github.com/go-multiprocessing/mp/internal/testing/attacks"
	"github.com/go-multiprocessing/mp/mptest"
)

var (
	long = flag.Bool("attacks.long", false, "run the rows of the long form, too")
	seed = flag.Uint64("attacks.seed", 0, "of what a row chooses at random; 0: another one each time")
)

func TestMain(m *testing.M) {
	attacks.Hold()
	attacks.Throttle()
	mp.Init()
	if attacks.IsProgram() {
		os.Exit(attacks.Program())
	}
	mptest.Main(m)
}

// Each attack in the table must harm only the attacker's own tasks and the objects that it was
// given.
func TestAttacks(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-attacks.seed=%d", *seed)
	ps := &programs{t: t, free: map[*program]bool{}}
	t.Cleanup(ps.close)
	skipped := skipper()
	begun := map[string]func() attacks.Verdict{}

	// Two rows that wait would keep a processor busy.
	var oneOfThem sync.Mutex
	families := map[string][]attacks.Row{}
	var order []string
	for _, row := range attacks.Table() {
		if row.Long() && !*long || skipped() || row.Heavy() && race.Enabled {
			continue
		}
		if families[row.Family] == nil {
			order = append(order, row.Family)
		}
		families[row.Family] = append(families[row.Family], row)
		if row.Waits() && selected(t, row) {
			begun[row.Name()] = sync.OnceValue(func() attacks.Verdict {
				oneOfThem.Lock()
				defer oneOfThem.Unlock()
				return ps.run(t, row)
			})
		}
	}

	for _, family := range order {
		for _, row := range families[family] {
			parts := strings.SplitN(row.Name(), "/", 3)
			t.Run(parts[0]+"/"+parts[1]+"/"+parts[2], func(t *testing.T) {
				// Heavy rows run here and now, while all others wait.
				if !row.Heavy() {
					t.Parallel()
				}
				v := attacks.Verdict{}
				if wait := begun[row.Name()]; wait != nil {
					v = wait()
				} else {
					v = ps.run(t, row)
				}
				t.Logf("%v, %v of processors, +%d MiB, %s", v.Took.Round(time.Millisecond), v.CPU.Round(time.Millisecond), v.Memory, first(v.Attack))
				for _, f := range v.Faults {
					t.Error(f)
				}
			})
		}
	}

	for _, run := range begun {
		go run()
	}
}

// sampled is the inverse of the share of rows that run with -short or the race detector. The race
// detector slows the rows down and finds little in them.
const sampled = 10

// skipper returns a function that reports for each row in turn whether to skip it.
func skipper() func() bool {
	if !testing.Short() && !race.Enabled || *long {
		return func() bool { return false }
	}
	n := int(*seed % sampled)
	return func() bool {
		n++
		return n%sampled != 0
	}
}

// selected reports whether the -run flag selects the row.
func selected(t *testing.T, row attacks.Row) bool {
	f := flag.Lookup("test.run").Value.String()
	if !strings.Contains(f, "/") {
		return true
	}
	parts := strings.Split(f, "/")
	name := strings.Split(t.Name()+"/"+row.Name(), "/")
	for i, p := range parts {
		if i < len(name) && !matches(p, name[i]) {
			return false
		}
	}
	return true
}

func first(text string) string {
	const most = 160
	line, _, _ := strings.Cut(text, "\n")
	return line[:min(len(line), most)]
}
