package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed c
var cSources embed.FS

// onC returns an opener for a side that a C program measures. One run of the program serves all
// rounds.
func onC(round func(b *bench, c *helper) (float64, error)) opener {
	return func(ctx context.Context, b *bench) (side, error) {
		program, err := b.buildC()
		if err != nil {
			return side{}, err
		}
		h, err := startHelper(ctx, program)
		if err != nil {
			return side{}, err
		}
		return side{round: func() (float64, error) { return round(b, h) }, close: h.close}, nil
	}
}

// compileC compiles the C peer with the system's compiler.
func (b *bench) compileC() (program string, err error) {
	compiler, ok := findCompiler()
	if !ok {
		return "", missing{"no C compiler is there"}
	}

	if err := os.CopyFS(b.dir, cSources); err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(b.dir, "c", "*.c"))
	if err != nil {
		return "", err
	}
	program = filepath.Join(b.dir, "peer")
	cmd := exec.Command(compiler, append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-pthread", "-o", program}, sources...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}

	return program, nil
}

func findCompiler() (path string, ok bool) {
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path, true
		}
	}
	return "", false
}

// inProcesses makes the helper measure with the given number of child processes, and returns the
// figure.
func (h *helper) inProcesses(processes int, format string, args ...any) (float64, error) {
	figures, err := h.ask(format, args...)
	if err != nil {
		return 0, err
	}
	if len(figures) < 1+processes {
		return 0, fmt.Errorf("%v: %d figures for %d processes", h.cmd, len(figures), processes)
	}
	pids := []int{h.cmd.Process.Pid}
	for _, pid := range figures[1 : 1+processes] {
		pids = append(pids, int(pid))
	}
	return figures[0], allElsewhere(pids)
}
