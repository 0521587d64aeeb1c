// Package guides_test builds and runs the programs in the folders beside it.
package guides_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// printed is the expected output of a program, without process IDs and times.
type printed struct {
	first []string // printed by main
	tasks []string // then printed by the tasks, in any order, except that the lines of each task are in this order
	last  []string // printed by main, after the tasks have ended
	pids  int      // the number of different process IDs; 0 if the number depends on timing
}

var programs = map[string]printed{
	"pool-map": {
		tasks: []string{"Processing 1", "Processing 2", "Processing 3", "Processing 4", "Processing 5"},
		last:  []string{"Squares: [1 4 9 16 25]"},
	},
	"pool-map-async": {
		first: []string{"Main goroutine working...", "[1 8 27]"},
	},
	"pool-key-methods": {
		first: []string{"Call: 6", "Map: [2 12 30]", "Submit: 20", "MapAsync: [200 1200 3000]"},
	},
	"pool-error-handling": {
		first: []string{"100 / 0: division by zero", "[10 0 20]"},
	},
	"executor-map-print": {
		tasks: []string{
			"Square of 2: 4, calculated by process N",
			"Square of 3: 9, calculated by process N",
			"Square of 4: 16, calculated by process N",
			"Square of 5: 25, calculated by process N",
		},
		last: []string{"Done!"},
	},
	"executor-submit": {
		first: []string{"16"},
	},
	"executor-map": {
		first: []string{"1", "4", "9", "16"},
	},
	"executor-shutdown": {
		first: []string{"0", "1", "4", "9", "16", "closed: true"},
	},
	"pool-square": {
		first: []string{"[1 4 9 16 25]"},
	},
	"pool-cpu-intensive": {
		first: []string{"--- Pool example ---"},
		tasks: []string{
			"Processing 49999999 in process N...",
			"Processing 50000000 in process N...",
			"Processing 50000001 in process N...",
			"Processing 50000002 in process N...",
			"Processing 50000003 in process N...",
		},
		last: []string{
			"Results (not all shown): [41666665416666675000000 41666667916666675000000 41666670416666775000001]...",
			"Total time with Pool: N seconds",
		},
	},
	"pool-square-timed": {
		first: []string{"--- Pool example ---"},
		tasks: []string{
			"Process N: Calculating square of 1...",
			"Process N: Calculating square of 2...",
			"Process N: Calculating square of 3...",
			"Process N: Calculating square of 4...",
			"Process N: Calculating square of 5...",
			"Process N: Calculating square of 6...",
			"Process N: Calculating square of 7...",
			"Process N: Calculating square of 8...",
			"Process N: Calculating square of 9...",
			"Process N: Calculating square of 10...",
		},
		last: []string{"Results: [1 4 9 16 25 36 49 64 81 100]", "Total time: N seconds"},
	},
	"pool-worker": {
		first: []string{"Main process: Starting Pool example."},
		tasks: []string{
			"Process PoolWorker-1: Starting work... (PID: N)\nProcess PoolWorker-1: Finishing work. (PID: N)",
			"Process PoolWorker-2: Starting work... (PID: N)\nProcess PoolWorker-2: Finishing work. (PID: N)",
			"Process PoolWorker-3: Starting work... (PID: N)\nProcess PoolWorker-3: Finishing work. (PID: N)",
		},
		last: []string{"Main process: All pool worker processes finished."},
	},
	"pool-addition": {
		first: []string{"[4 5 6 7 8]"},
	},
	"process-several": {
		tasks: []string{
			"Task Job-0 running in process N",
			"Task Job-1 running in process N",
			"Task Job-2 running in process N",
		},
		last: []string{"All processes completed"},
		pids: 3,
	},
	"process-square-cube": {
		tasks: []string{
			"Square of 2: 4\nSquare of 3: 9\nSquare of 8: 64",
			"Cube of 2: 8\nCube of 3: 27\nCube of 8: 512",
		},
		last: []string{"Done!"},
	},
	"process-variable": {
		first: []string{
			"The process finds x = 10",
			"The process leaves x = 15",
			"Main still has x = 11",
			"The process returned 15",
		},
	},
	"process-cpu-intensive": {
		first: []string{
			"--- Multiprocessing Basic Example ---",
			"Total CPU cores available: N",
			"Main process (PID: N) is running.",
			"--- Running tasks synchronously in the main process ---",
			"Process Sync-1 (PID: N) starting...",
			"Process Sync-1: Finished. Result (truncated): 4166666541...",
			"Process Sync-2 (PID: N) starting...",
			"Process Sync-2: Finished. Result (truncated): 4166666541...",
			"Synchronous execution time: N seconds",
			"--- Running tasks in parallel with multiprocessing ---",
		},
		tasks: []string{
			"Process Proc-1 (PID: N) starting...\nProcess Proc-1: Finished. Result (truncated): 4166666541...",
			"Process Proc-2 (PID: N) starting...\nProcess Proc-2: Finished. Result (truncated): 4166666541...",
		},
		last: []string{
			"Multiprocessed execution time (CPU-bound): N seconds",
			"Results: [41666665416666675000000 41666665416666675000000]",
		},
		pids: 3, // main and two processes
	},
	"process-worker": {
		first: []string{"Main process: Starting Process example."},
		tasks: []string{
			"Process Worker-1: Starting work... (PID: N)\nProcess Worker-1: Finishing work. (PID: N)",
			"Process Worker-2: Starting work... (PID: N)\nProcess Worker-2: Finishing work. (PID: N)",
			"Process Worker-3: Starting work... (PID: N)\nProcess Worker-3: Finishing work. (PID: N)",
		},
		last: []string{
			"Main process: All worker processes finished in N seconds.",
			"This demonstrates concurrent execution: each worker runs in parallel.",
		},
		pids: 3,
	},
	"process-hello": {
		first: []string{"-----Hello-----"},
	},
	"process-global-counter": {
		first: []string{"Final counter: 0", "Sum of what the processes returned: 10"},
	},
	"value-array": {
		first: []string{"Final counter: 1000", "Modified array: [2 4 6]"},
	},
	"value-increment": {
		first: []string{"Final value: 2"},
	},
	"value-race": {
		first: []string{"Load and Store: 1", "Update: 2", "Load and Store with a lock: 2"},
	},
	"value-get-lock": {
		first: []string{"Final value: 10"},
	},
	"array-modify": {
		first: []string{"[100 2 3]"},
	},
	"lock-increment": {
		tasks: []string{
			"Process N incremented to 1",
			"Process N incremented to 2",
			"Process N incremented to 3",
			"Process N incremented to 4",
			"Process N incremented to 5",
			"Process N incremented to 6",
			"Process N incremented to 7",
			"Process N incremented to 8",
			"Process N incremented to 9",
			"Process N incremented to 10",
			"Process N incremented to 11",
			"Process N incremented to 12",
			"Process N incremented to 13",
			"Process N incremented to 14",
			"Process N incremented to 15",
		},
		last: []string{"Final counter value: 15"},
		pids: 3,
	},
	"lock-counter": {
		first: []string{"Final counter: 10"},
	},
	"semaphore-limit": {
		first: []string{"8 visits, never more than 2 at once: true", "Permits at the end: 2"},
	},
	"queue-producer-consumer": {
		tasks: []string{
			"Producing A\nProducing B\nProducing C\nProducing D",
			"Consuming A\nConsuming B\nConsuming C\nConsuming D",
		},
	},
	"queue-hello": {
		first: []string{"Received: Hello from Process N"},
	},
	"queue-consumers": {
		first: []string{"--- Multiprocessing with Queue Example ---"},
		tasks: []string{
			"Producer: Starting to produce 10 messages...\n" +
				"Producer: Putting 'Message 0' on queue\nProducer: Putting 'Message 1' on queue\n" +
				"Producer: Putting 'Message 2' on queue\nProducer: Putting 'Message 3' on queue\n" +
				"Producer: Putting 'Message 4' on queue\nProducer: Putting 'Message 5' on queue\n" +
				"Producer: Putting 'Message 6' on queue\nProducer: Putting 'Message 7' on queue\n" +
				"Producer: Putting 'Message 8' on queue\nProducer: Putting 'Message 9' on queue",
			"Consumer C-N: Got 'Message 0' from queue",
			"Consumer C-N: Got 'Message 1' from queue",
			"Consumer C-N: Got 'Message 2' from queue",
			"Consumer C-N: Got 'Message 3' from queue",
			"Consumer C-N: Got 'Message 4' from queue",
			"Consumer C-N: Got 'Message 5' from queue",
			"Consumer C-N: Got 'Message 6' from queue",
			"Consumer C-N: Got 'Message 7' from queue",
			"Consumer C-N: Got 'Message 8' from queue",
			"Consumer C-N: Got 'Message 9' from queue",
			"Consumer C-N: The queue is closed, exiting.",
			"Consumer C-N: The queue is closed, exiting.",
		},
		last: []string{"10 messages put, 10 got"},
	},
	"queue-sentinel": {
		tasks: []string{"Consumer: Received sentinel, exiting.", "Consumer: Received sentinel, exiting."},
		last:  []string{"10 messages put, 10 got"},
	},
	"queue-empty": {
		first: []string{"0", "1", "2", "3", "4"},
	},
	"manager-list": {
		first: []string{"[10 10]"},
	},
	"manager-dict": {
		first: []string{"map[apples:80 pears:60]"},
	},
	"manager-set": {
		first: []string{"4 pages are new, 4 are known"},
	},
	"pipe-hello": {
		first: []string{"Received: Hello from P1"},
	},
	"pipe-dialogue": {
		first: []string{"2 squared is 4", "3 squared is 9", "8 squared is 64", "The other process has answered 3 times"},
	},
	"pipe-messages": {
		first: []string{"--- Multiprocessing with Pipe Example ---"},
		tasks: []string{
			"Sender: Sending messages...",
			"Receiver: Waiting for messages...\nReceiver: Received 'Hello from sender!'\n" +
				"Receiver: Received 'Another message.'\nReceiver: Connection closed by sender.",
		},
	},
}

// pid matches a process ID. varying matches everything that differs between runs: process IDs, the
// number of processors, the consumer that received an element, and times in seconds.
var (
	pid     = regexp.MustCompile(`(?:[Pp]rocess|PID:) (\d+)`)
	varying = regexp.MustCompile(`((?:[Pp]rocess |PID: |available: |Consumer C-))\d+|()\d+\.\d\d( seconds)`)
)

// saysWhich matches the beginning of the comment at the head of each program.
var saysWhich = regexp.MustCompile(`^// Guide "(Multiprocessing|Multiprocessing_|Multiprocessing in Python|Introduction)"[ ,]`)

// Each program says which guide it is from, is listed in README.md, and is run by TestPrograms.
func TestHeads(t *testing.T) {
	mains, err := filepath.Glob("*/main.go")
	if err != nil {
		t.Fatal(err)
	}

	list, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}

	for _, main := range mains {
		name := filepath.Dir(main)
		if _, ok := programs[name]; !ok {
			t.Errorf("%s is not in the table", name)
		}
		if !strings.Contains(string(list), "["+name+"]("+main+")") {
			t.Errorf("%s is not in README.md", name)
		}
		text, err := os.ReadFile(main)
		if err != nil {
			t.Fatal(err)
		}
		if !saysWhich.Match(text) {
			t.Errorf("%s does not say which guide and section it is", name)
		}
	}
}

func TestPrograms(t *testing.T) {
	// One command builds all programs, as many at a time as there are processors.
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+"/", "./...").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, want := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want.check(t, run(t, filepath.Join(bin, name)))
		})
	}
}

// run returns the output of a program, which must exit with code 0 and leave stderr empty.
func run(t *testing.T, program string) string {
	t.Helper()
	// The timeout only ends a program that hangs.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%v; it printed\n%s\nand to stderr\n%s", err, &stdout, &stderr)
	}
	return stdout.String()
}

func (want printed) check(t *testing.T, stdout string) {
	t.Helper()
	if n := differentPIDs(stdout); want.pids > 0 && n != want.pids {
		t.Errorf("it printed %d different process ids, not %d:\n%s", n, want.pids, stdout)
	}

	got := lines(varying.ReplaceAllString(stdout, "${1}N${3}"))
	all := slices.Concat(want.first, slices.Sorted(slices.Values(lines(strings.Join(want.tasks, "\n")))), want.last)
	if len(got) == len(all) {
		byTasks := got[len(want.first) : len(got)-len(want.last)]
		for _, task := range want.tasks {
			if !inOrder(byTasks, lines(task)) {
				t.Errorf("it did not print, in this order,\n%s\n\nbut\n%s", task, stdout)
			}
		}
		slices.Sort(byTasks)
	}

	if !slices.Equal(got, all) {
		t.Errorf("it printed, the tasks' lines sorted,\n%s\n\nnot\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
}

func differentPIDs(stdout string) int {
	seen := map[string]bool{}
	for _, match := range pid.FindAllStringSubmatch(stdout, -1) {
		seen[match[1]] = true
	}
	return len(seen)
}

// lines returns the lines of a text. An empty text has no lines.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// inOrder reports whether the given lines contain the wanted lines in order.
func inOrder(given, wanted []string) bool {
	for _, line := range given {
		if len(wanted) > 0 && line == wanted[0] {
			wanted = wanted[1:]
		}
	}
	return len(wanted) == 0
}
