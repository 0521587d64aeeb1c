//go:build linux

package attacks_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-multiprocessing/mp/internal/testing/attacks"
)

func matches(pattern, name string) bool {
	ok, err := regexp.MatchString(pattern, name)
	return err != nil || ok
}

// programs holds the attacked programs. Each one runs rows until it fails.
type programs struct {
	t    *testing.T
	mu   sync.Mutex
	free map[*program]bool
	n    int
}

// program is one attacked program.
type program struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr string // the name of a file
	tag    string
}

// run runs a row in a program that has not failed.
func (ps *programs) run(t *testing.T, row attacks.Row) attacks.Verdict {
	p, err := ps.take()
	if err != nil {
		return attacks.Verdict{Row: row.Name(), Faults: []string{err.Error()}}
	}
	v, err := p.ask(row, *seed)
	if err != nil {
		v.Faults = append(v.Faults, err.Error())
	}

	if len(v.Faults) > 0 || v.Hung {
		v.Faults = append(v.Faults, p.end()...)
		return v
	}
	ps.mu.Lock()
	ps.free[p] = true
	ps.mu.Unlock()
	return v
}

// take returns an idle program.
func (ps *programs) take() (*program, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for p := range ps.free {
		delete(ps.free, p)
		return p, nil
	}
	ps.n++
	return start(ps.t.TempDir(), fmt.Sprintf("attacks-%d-%d", os.Getpid(), ps.n))
}

// close ends the remaining programs, which must leave nothing.
func (ps *programs) close() {
	for p := range ps.free {
		for _, f := range p.end() {
			ps.t.Error(f)
		}
	}
}

func start(dir, tag string) (*program, error) {
	p := &program{cmd: exec.Command("/proc/self/exe"), stderr: filepath.Join(dir, tag), tag: tag}
	file, err := os.Create(p.stderr)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p.cmd.Env = append(os.Environ(), "MP_ATTACKS_PROGRAM=1", attacks.TagVar+"="+tag, "GOTRACEBACK=all")
	p.cmd.Stderr = file
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}

	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// ask makes the program run a row. It returns an error if the program has died or does not answer.
func (p *program) ask(row attacks.Row, seed uint64) (v attacks.Verdict, err error) {
	v.Row = row.Name()
	began := time.Now()
	timer := time.AfterFunc(row.Limit(), func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	err = json.NewEncoder(p.in).Encode(map[string]any{"Row": row.Name(), "Seed": seed})
	if err == nil {
		var line []byte
		if line, err = p.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &v)
		}
	}
	if err != nil {
		return v, fmt.Errorf("the attacked program has ended after %v: %w", time.Since(began).Round(time.Millisecond), err)
	}
	return v, nil
}

// end ends the program and kills the processes that it left. It returns how the program ended,
// unless it exited normally.
func (p *program) end() (faults []string) {
	_ = p.in.Close()
	timer := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	last := time.AfterFunc(15*time.Second, func() { _ = p.cmd.Process.Kill() })
	_, _ = io.Copy(io.Discard, p.out)
	err := p.cmd.Wait()
	timer.Stop()
	last.Stop()
	if err != nil {
		faults = append(faults, "the attacked program: "+err.Error()+p.lastWords())
	}
	for _, pid := range p.left() {
		faults = append(faults, "left: process "+pid)
	}
	return faults
}

// lastWords returns the beginning of the program's crash report.
func (p *program) lastWords() string {
	b, _ := os.ReadFile(p.stderr)
	for _, head := range []string{"fatal error: ", "panic: ", "SIGQUIT: ", "unexpected fault", "WARNING: DATA RACE"} {
		if i := bytes.Index(b, []byte(head)); i >= 0 {
			b = b[i:]
			break
		}
	}
	const most = 3000
	return "\n" + string(b[:min(len(b), most)])
}

// left waits for processes with the program's tag to end, and then kills and returns the remaining
// ones.
func (p *program) left() (pids []string) {
	var left []int
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left = attacks.Tagged(p.tag)
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		pids = append(pids, strconv.Itoa(pid))
	}
	return pids
}
