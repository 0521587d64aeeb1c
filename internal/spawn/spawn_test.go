//go:build linux

package spawn_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp/internal/pty"
	"github.com/go-multiprocessing/mp/internal/spawn"
	"github.com/go-multiprocessing/mp/mptest"
)

// never is the time after which a test counts as hung.
const never = 30 * time.Second

// pipe returns a pipe that is closed when the test ends.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r, w
}

type option func(*spawn.Spec)

// eachContainment runs a test with each kind of containment.
func eachContainment(t *testing.T, test func(*testing.T, option)) {
	for name, c := range map[string]spawn.Containment{"group": spawn.Group, "subreaper": spawn.Subreaper, "namespace": spawn.Namespace} {
		t.Run(name, func(t *testing.T) {
			contain := func(s *spawn.Spec) { s.Contain = c }
			if c == spawn.Namespace {
				p, err := spawn.Start(spawn.Spec{Args: []string{"helper"}, Env: environment("exit 0"), Stdout: 1, Stderr: 2, Contain: c})
				if errors.Is(err, syscall.EPERM) {
					t.Skip("no namespaces here: ", err)
				} else if err != nil {
					t.Fatal(err)
				}
				<-p.Done()
			}
			test(t, contain)
		})
	}
}

// start starts a helper and returns it with its output. The helper is killed when the test ends.
func start(t testing.TB, what string, more ...option) (*spawn.Process, *bufio.Reader) {
	t.Helper()
	r, w := pipe(t)
	s := spawn.Spec{Args: []string{"helper"}, Env: environment(what), Stdout: int(w.Fd()), Stderr: 2}
	for _, f := range more {
		f(&s)
	}
	p, err := spawn.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	return p, bufio.NewReader(r)
}

// ended waits until p has ended and returns its status.
func ended(t testing.TB, p *spawn.Process) spawn.Status {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(never):
		t.Fatalf("process %d goes on", p.PID)
	}
	return p.Status()
}

func TestStatus(t *testing.T) { eachContainment(t, testStatus) }

func testStatus(t *testing.T, contain option) {
	mptest.NoLeaks(t)
	for _, c := range []struct {
		what string
		want spawn.Status
		says string
	}{
		{"exit 0", spawn.Status{}, "exit code 0"},
		{"exit 3", spawn.Status{ExitCode: 3}, "exit code 3"},
		{"exit 255", spawn.Status{ExitCode: 255}, "exit code 255"},
		{"signal 9", spawn.Status{ExitCode: -1, Signal: syscall.SIGKILL}, "signal 9 (killed)"},
		{"signal 15", spawn.Status{ExitCode: -1, Signal: syscall.SIGTERM}, "signal 15 (terminated)"},
	} {
		p, _ := start(t, c.what, contain)
		if got := ended(t, p); got != c.want || got.String() != c.says {
			t.Errorf("%s: got %+v, %v", c.what, got, got)
		}
	}

	p, out := start(t, "stay", contain)
	line(t, out)
	p.Kill()
	if got := ended(t, p); got.Signal != syscall.SIGKILL {
		t.Errorf("killed: got %+v", got)
	}
}

// A failed start must name the file and the reason, and leave nothing behind.
func TestStartFails(t *testing.T) { eachContainment(t, testStartFails) }

func testStartFails(t *testing.T, contain option) {
	mptest.NoLeaks(t)
	before := children()
	for name, s := range map[string]spawn.Spec{
		"no file":      {Path: "/no/such/file"},
		"not a binary": {Path: "/dev/null"},
		"no directory": {Dir: "/no/such/directory"},
	} {
		s.Args, s.Env, s.Stdout, s.Stderr = []string{"helper"}, environment("exit 0"), 1, 2
		contain(&s)
		p, err := spawn.Start(s)
		if err == nil {
			p.Kill()
			<-p.Done()
			t.Errorf("%s: it was started", name)
			continue
		}
		if s.Path != "" && !strings.Contains(err.Error(), s.Path) {
			t.Errorf("%s: got %v", name, err)
		}
	}

	if got := children(); !slices.Equal(got, before) {
		t.Errorf("children %v, before %v", got, before)
	}

	p, _ := start(t, "exit 3", contain)
	if got := ended(t, p); got.ExitCode != 3 {
		t.Errorf("the next one: %v", got)
	}
}

// A process must have the given environment, directory and arguments. It must know that it is a
// worker, hide that from its own children, and lead its own process group.
func TestSurroundings(t *testing.T) { eachContainment(t, testSurroundings) }

func testSurroundings(t *testing.T, contain option) {
	mptest.NoLeaks(t)
	dir := t.TempDir()
	env := slices.Clip(append(environment("surroundings"), "SPAWN_TEST_COLOUR=blue"))
	p, out := start(t, "", func(s *spawn.Spec) { s.Dir, s.Env, s.Args = dir, env, []string{"helper", "a", "b"} }, contain)
	if got, want := line(t, out), dir+" blue a,b true false true"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	ended(t, p)
	if spawn.IsWorker() {
		t.Error("this process is a worker")
	}
}

// A process must have no terminal, whether or not we have one. Opening the terminal must fail at
// once, because reading from it would stop the process forever. The process must stay in our
// session, because sessions are scheduled as groups, but it must be able to leave the session.
func TestNoTerminal(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain option) {
		mptest.NoLeaks(t)
		for _, row := range []struct {
			ours    bool
			what    string
			session bool
		}{{false, "terminal", false}, {true, "terminal", false}, {true, "terminal session", true}} {
			var s spawn.Spec
			contain(&s)
			c := exec.Command("/proc/self/exe")
			c.Env = environment(fmt.Sprintf("above %s,%d", row.what, s.Contain))
			c.Stderr = os.Stderr
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if row.ours {
				c.Stdin, c.SysProcAttr.Setctty = terminal(t), true
			}

			out, err := c.Output()
			want := fmt.Sprintf("open /dev/tty: no such device or address, group true, session %v, no terminal\n", row.session)
			if string(out) != want || err != nil {
				t.Errorf("%+v: %s, %v", row, out, err)
			}
		}
	})
}

// A process that has moved to our group must be killed, too.
func TestKillOfADeserter(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain option) {
		mptest.NoLeaks(t)
		p, out := start(t, "desert", contain)
		if got := line(t, out); got != "<nil> true" {
			t.Fatal(got)
		}
		p.Kill()
		if got := ended(t, p); got.Signal != syscall.SIGKILL || got.Stuck {
			t.Error(got)
		}
	})
}

// terminal returns a terminal without a session.
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _, _ = master.Close(), slave.Close() })
	return slave
}

// Lists of processes must show the title, and the process must not see it. No title may prevent a
// start.
func TestTitle(t *testing.T) { eachContainment(t, testTitle) }

func testTitle(t *testing.T, contain option) {
	mptest.NoLeaks(t)
	for title, shown := range map[string]string{
		"":                                  "",
		"worker-1":                          ": worker-1",
		"a\x00b\n/\xffc":                    ": a?b?_\ufffdc",
		strings.Repeat("ab", 300) + "end":   ": " + strings.Repeat("ab", 100),
		"x" + strings.Repeat("\u00e4", 300): ": x" + strings.Repeat("\u00e4", 99),
	} {
		p, out := start(t, "", func(s *spawn.Spec) {
			s.Title, s.Env, s.Args = title, environment("title"), []string{"/some/helper", "a"}
		}, contain)

		want := fmt.Sprintf("%q %q %q false", "/some/helper"+shown+"\x00a\x00", "helper\n", []string{"/some/helper", "a"})
		if got := line(t, out); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		ended(t, p)
	}
}

func line(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

// A process must have exactly the given descriptors, in the given order, whatever their numbers. It
// must not have descriptors of siblings that are started at the same time.
func TestDescriptors(t *testing.T) { eachContainment(t, testDescriptors) }

func testDescriptors(t *testing.T, contain option) {
	mptest.NoLeaks(t)
	leave(t)
	var wg sync.WaitGroup
	for range 8 {
		r1, w1 := pipe(t)
		r2, w2 := pipe(t)
		wg.Go(func() {
			for _, given := range [][]*os.File{nil, {r1}, {w2, r1, r2, w1}, {w1, w1}} {
				outR, outW := pipe(t)
				s := spawn.Spec{Args: []string{"helper"}, Env: environment("files"), Stdout: int(outW.Fd()), Stderr: 2}
				contain(&s)
				want := []string{"0 " + os.DevNull, "1 " + target(t, outW.Fd()), "2 " + target(t, 2)}
				for i, f := range given {
					s.Files = append(s.Files, int(f.Fd()))
					want = append(want, fmt.Sprintf("%d %s", 3+i, target(t, f.Fd())))
				}

				p, err := spawn.Start(s)
				if err != nil {
					t.Error(err)
					return
				}
				_ = outW.Close()
				b, err := io.ReadAll(outR)
				if err != nil {
					t.Error(err)
				}

				<-p.Done()
				slices.Sort(want)
				if got := slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(b)), "\n")); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func target(t testing.TB, fd uintptr) string {
	to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		t.Error(err)
	}
	return to
}

// The end of a pipe that C code has opened must be seen even while a process that was started in
// the meantime, its keeper and the guard are alive.
func TestEndOfAPipe(t *testing.T) {
	eachContainment(t, func(t *testing.T, contain option) {
		mptest.NoLeaks(t)
		var pipe [2]int
		if err := syscall.Pipe(pipe[:]); err != nil { // without close-on-exec
			t.Fatal(err)
		}
		r := os.NewFile(uintptr(pipe[0]), "pipe")
		defer r.Close()

		if err := syscall.SetNonblock(pipe[0], true); err != nil {
			t.Fatal(err)
		}
		p, out := start(t, "stay", contain)
		line(t, out)
		if err := syscall.Close(pipe[1]); err != nil {
			t.Fatal(err)
		}

		// The guard may still be starting. Until it has started, it has the pipe.
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			n, err := syscall.Read(pipe[0], make([]byte, 1))
			if n == 0 && err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("somebody has its other end: ", err)
			}
		}
		p.Kill()
		ended(t, p)
	})
}

// leave opens descriptors without close-on-exec, as C code does: a file, and one end each of a pipe
// and a socket. The other ends of the pipe and the socket show whether a process has inherited the
// descriptors.
func leave(t testing.TB) {
	t.Helper()
	dir, err := syscall.Open(t.TempDir(), syscall.O_RDONLY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	var pipe, sockets [2]int
	if err := errors.Join(syscall.Pipe(pipe[:]), func() (err error) {
		sockets, err = syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		return err
	}()); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		for _, fd := range []int{dir, pipe[0], pipe[1], sockets[0], sockets[1]} {
			_ = syscall.Close(fd)
		}
	})
}

// Once a process has been reaped, its ID may belong to another process, so no signal may be sent to
// that ID. The bystander stands for a process that has been given the ID.
func TestKillAfterTheEnd(t *testing.T) {
	mptest.NoLeaks(t)
	bystander, out := start(t, "stay")
	line(t, out)
	p, _ := start(t, "exit 0")
	ended(t, p)
	p.PID = bystander.PID
	p.Kill()
	bystander.Kill()
	if got := ended(t, bystander); got.Signal != syscall.SIGKILL {
		t.Errorf("the bystander: %v", got)
	}

	// The first Kill might also have ended the bystander. A bystander that would end by itself
	// shows which Kill it was.
	in, w := pipe(t)
	r, answer := pipe(t)
	bystander, _ = start(t, "echo", func(s *spawn.Spec) { s.Files = []int{int(in.Fd()), int(answer.Fd())} })
	_ = in.Close()
	p.PID = bystander.PID
	p.Kill()
	echo(t, w, r)
	_ = w.Close()
	if got := ended(t, bystander); got != (spawn.Status{}) {
		t.Errorf("the bystander: %v", got)
	}
}

// echo checks that a helper is alive.
func echo(t testing.TB, w, r *os.File) {
	t.Helper()
	if _, err := w.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	_ = r.SetReadDeadline(time.Now().Add(never))
	b := make([]byte, 1)
	if _, err := r.Read(b); err != nil || b[0] != 7 {
		t.Fatalf("%v, %v", b, err)
	}
}

// The kernel ties a child's end to the thread that started the child. That must not be the caller's
// thread.
func TestOutlivesTheCallersThread(t *testing.T) {
	mptest.NoLeaks(t)
	in, w := pipe(t)
	r, answer := pipe(t)
	tid := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		start(t, "echo", func(s *spawn.Spec) { s.Files = []int{int(in.Fd()), int(answer.Fd())} })
		tid <- unix.Gettid()
	}()
	thread := fmt.Sprintf("/proc/self/task/%d", <-tid)
	if thread == fmt.Sprintf("/proc/self/task/%d", os.Getpid()) {
		t.Skip("the main thread never ends")
	}
	until(t, "the thread has ended", func() bool { _, err := os.Stat(thread); return err != nil })
	echo(t, w, r)
}

// until polls for a state that is not announced.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(never); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: ", what)
		}
	}
}

// When a process ends, the other processes in its group must end, too, before Done is closed.
func TestGroupEndsWithItsLeader(t *testing.T) {
	mptest.NoLeaks(t)
	for _, what := range []string{"family", "family stay"} {
		p, out := start(t, what)
		child := pidfd(t, line(t, out))
		if what != "family" {
			p.Kill()
		}
		ended(t, p)
		if !endsSoon(child) {
			t.Errorf("%s: the descendant goes on", what)
		}
	}
}

// pidfd opens a process that should end before the test does. The process is killed at the end of
// the test.
func pidfd(t testing.TB, pid string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(pid, &n); err != nil {
		t.Fatalf("%q: %v", pid, err)
	}
	fd, err := unix.PidfdOpen(n, 0)
	if err == unix.ESRCH {
		fd = gone
	} else if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if fd != gone {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			_ = unix.Close(fd)
		}
	})
	return fd
}

const gone = -1

func endsSoon(pidfd int) bool {
	for pidfd != gone {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 10_000)
		if err != unix.EINTR {
			return n == 1
		}
	}
	return true
}

// Many processes are started, guarded, killed and awaited at the same time, and some of them end by
// themselves. Each process must have the right status. No zombie, descriptor or goroutine may be
// left, not even the guard's.
func TestManyAtOnce(t *testing.T) {
	mptest.NoLeaks(t)
	before := children()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()

	out := int(null.Fd())
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 8 {
				what, want := "stay", spawn.Status{ExitCode: -1, Signal: syscall.SIGKILL}
				if i%2 == 1 {
					what, want = fmt.Sprint("exit ", g), spawn.Status{ExitCode: g}
				}

				p, err := spawn.Start(spawn.Spec{Args: []string{"helper"}, Env: environment(what), Stdout: out, Stderr: out})
				if err != nil {
					t.Error(err)
					return
				}
				var others sync.WaitGroup
				if i%3 == 0 {
					others.Go(func() { <-p.Guarded() })
				}
				if what == "stay" {
					for range 3 {
						others.Go(p.Kill)
					}
				}

				<-p.Done()
				others.Wait()
				p.Kill()
				if got := p.Status(); got != want {
					t.Errorf("%s: %v", what, got)
				}
			}
		})
	}
	wg.Wait()
	if got := children(); !slices.Equal(got, before) {
		t.Errorf("children %v, before %v", got, before)
	}
}
