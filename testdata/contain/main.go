// Contain runs a task that leaves processes behind. The first argument names the pool's
// containment, or is "-" for none, and the third names its control group. The second argument says
// what to end afterwards: the worker, the pool or nothing.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/go-multiprocessing/mp"
)

var breed = mp.Register("breed", func(context.Context, int) (int, error) {
	for _, c := range []struct {
		name string
		args []string
		attr syscall.SysProcAttr
	}{
		{"a child", []string{"sleep", "1001"}, syscall.SysProcAttr{}},
		{"a grandchild whose parent has ended", []string{"sh", "-c", "sleep 1002 >/dev/null 2>&1 &"}, syscall.SysProcAttr{}},
		{"one in a group of its own", []string{"sleep", "1003"}, syscall.SysProcAttr{Setpgid: true}},
		{"a daemon", []string{"sh", "-c", "sleep 1004 >/dev/null 2>&1 &"}, syscall.SysProcAttr{Setsid: true}},
		{"a daemon's child", []string{"sh", "-c", "sh -c 'sleep 1005; true' >/dev/null 2>&1 &"}, syscall.SysProcAttr{Setsid: true}},
	} {
		cmd := exec.Command(c.args[0], c.args[1:]...)
		cmd.SysProcAttr = &c.attr
		run := cmd.Start
		if c.args[0] == "sh" {
			run = cmd.Run
		}
		if err := run(); err != nil {
			return 0, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return os.Getpid(), nil
})

var die = mp.Register("die", func(context.Context, int) (int, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	// The first process of a namespace cannot kill itself.
	os.Exit(3)
	return 0, nil
})

func main() {
	mp.Init()
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println(err)
	}
}

func run(containment, how, cgroup string) error {
	config := mp.PoolConfig{Workers: 1, RequireContainment: mp.Containment(containment), Limits: mp.Limits{Cgroup: cgroup}}
	pool, err := mp.NewPool(config)
	if err != nil {
		return err
	}
	defer pool.Close()
	ctx := context.Background()
	if _, err := mp.Call(ctx, pool, breed, 0); err != nil {
		return err
	}

	await("bred")
	switch how {
	case "worker":
		if _, err := mp.Call(ctx, pool, die, 0); err == nil {
			return fmt.Errorf("the worker lives")
		}
	case "close":
		_ = pool.Close()
	}
	await("ended")
	return nil
}

// await prints where and waits for a line on the standard input.
func await(where string) {
	fmt.Println(where)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}
