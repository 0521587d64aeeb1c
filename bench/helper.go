package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A helper is a program that measures on request. A request is a line with a command and its
// arguments. The answer is a line with "ok" and figures, or with "error" and a text. The helper
// ends when its input ends.
type helper struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startHelper starts a program in a process group of its own. The group is killed when ctx ends.
func startHelper(ctx context.Context, program string, args ...string) (*helper, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &helper{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

// ask sends a command to the helper and returns its figures.
func (h *helper) ask(format string, args ...any) ([]float64, error) {
	if _, err := fmt.Fprintf(h.in, format+"\n", args...); err != nil {
		return nil, err
	}

	line, err := h.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%v has died: %w", h.cmd, err)
	}
	status, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if status != "ok" {
		return nil, fmt.Errorf("%v: %s", h.cmd, strings.TrimSpace(line))
	}
	var figures []float64
	for word := range strings.FieldsSeq(rest) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, err
		}
		figures = append(figures, v)
	}

	return figures, nil
}

// median sends a command to the helper and returns the median of its figures.
func (h *helper) median(format string, args ...any) (float64, error) {
	figures, err := h.ask(format, args...)
	if err != nil {
		return 0, err
	}
	if len(figures) == 0 {
		return 0, fmt.Errorf("%v: no figure", h.cmd)
	}
	return median(figures), nil
}

const helperExitTimeout = 5 * time.Second

// close tells the helper to end, and kills it if it does not.
func (h *helper) close() {
	_ = h.in.Close()
	kill := time.AfterFunc(helperExitTimeout, func() { _ = h.cmd.Cancel() })
	defer kill.Stop()
	_ = h.cmd.Wait()
}
