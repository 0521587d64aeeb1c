// Late registers in a way that its argument names, which panics.
package main

import (
	"context"
	"os"

	"github.com/go-multiprocessing/mp"
)

func f(context.Context, int) (int, error) { return 0, nil }

func action(context.Context, int) error { return nil }

func main() {
	switch os.Args[1] {
	case "late":
		mp.Init()
		mp.Register("f", f)
	case "late action":
		mp.Init()
		mp.RegisterAction("f", action)
	case "twice":
		mp.Register("f", f)
		mp.Register("f", f)
	case "twice action":
		mp.Register("f", f)
		mp.RegisterAction("f", action)
	case "unnamed":
		mp.Register("", f)
	case "unnamed action":
		mp.RegisterAction("a\nb", action)
	case "nil":
		mp.Register[int, int]("f", nil)
	case "nil action":
		mp.RegisterAction[int]("f", nil)
	}
}
