package mp_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pythonNames are the public names of multiprocessing, and those of concurrent.futures that users
// of its process pool meet.
var pythonNames = strings.Fields(`
	Array AuthenticationError Barrier BoundedSemaphore BufferTooShort Condition Event JoinableQueue Lock Manager
	Pipe Pool Process ProcessError Queue RLock RawArray RawValue Semaphore SimpleQueue TimeoutError Value active_children
	allow_connection_pickling cpu_count current_process freeze_support get_all_start_methods get_context get_logger
	get_start_method log_to_stderr parent_process set_executable set_forkserver_preload set_start_method
	Process.authkey Process.close Process.daemon Process.exitcode Process.ident Process.is_alive Process.join Process.kill
	Process.name Process.pid Process.run Process.sentinel Process.start Process.terminate Process.interrupt
	Pool.apply Pool.apply_async Pool.close Pool.imap Pool.imap_unordered Pool.join Pool.map Pool.map_async Pool.starmap
	Pool.starmap_async Pool.terminate initializer initargs maxtasksperchild
	cancel_futures ProcessPoolExecutor.terminate_workers ProcessPoolExecutor.kill_workers ThreadPool InterpreterPoolExecutor InvalidStateError
	AsyncResult.get AsyncResult.ready AsyncResult.successful AsyncResult.wait
	Queue.cancel_join_thread Queue.close Queue.empty Queue.full Queue.get Queue.get_nowait Queue.join_thread Queue.put
	Queue.put_nowait Queue.qsize JoinableQueue.join JoinableQueue.task_done
	Connection.close Connection.closed Connection.fileno Connection.poll Connection.readable Connection.recv
	Connection.recv_bytes Connection.recv_bytes_into Connection.send Connection.send_bytes Connection.writable
	connection.wait connection.Listener connection.Client
	Lock.acquire Lock.release Lock.locked Event.set Event.clear Event.is_set Event.wait Value.get_lock Value.get_obj Array.get_lock Array.get_obj
	synchronized Listener.accept Listener.close Listener.address Listener.last_accepted deliver_challenge answer_challenge RemoteError
	Server.serve_forever SyncManager.set ShareableList.count ShareableList.index ShareableList.format
	Semaphore.get_value Barrier.abort Barrier.broken Barrier.n_waiting Barrier.parties Barrier.reset
	BaseManager.register BaseManager.start BaseManager.get_server BaseManager.connect BaseManager.address BaseManager.join
	BaseManager.shutdown SyncManager BaseProxy Token SharedMemoryManager
	SyncManager.Array SyncManager.Barrier SyncManager.BoundedSemaphore SyncManager.Condition SyncManager.Event
	SyncManager.JoinableQueue SyncManager.Lock SyncManager.Namespace SyncManager.Pool SyncManager.Queue SyncManager.RLock
	SyncManager.Semaphore SyncManager.Value SyncManager.dict SyncManager.list
	SharedMemory SharedMemory.buf SharedMemory.close SharedMemory.name SharedMemory.size SharedMemory.unlink ShareableList
	multiprocessing.dummy
	FIRST_COMPLETED FIRST_EXCEPTION ALL_COMPLETED CancelledError BrokenExecutor BrokenProcessPool Executor wait as_completed
	ProcessPoolExecutor ThreadPoolExecutor ProcessPoolExecutor.map ProcessPoolExecutor.submit ProcessPoolExecutor.shutdown
	max_workers mp_context max_tasks_per_child
	Future.add_done_callback Future.cancel Future.cancelled Future.done Future.exception Future.result Future.running
	Future.set_exception Future.set_result Future.set_running_or_notify_cancel`)

var (
	inCode = regexp.MustCompile("`([^`]+)`")
	goName = regexp.MustCompile(`^([a-z]+\.)?[A-Z]\w*(\.[A-Z]\w*)?$`)
	pyWord = regexp.MustCompile(`[A-Za-z_][\w.]*`)
)

// The Go names in docs/from-python.md exist, and all of Python's names are in it.
func TestFromPython(t *testing.T) {
	text := read(t, "docs/from-python.md")
	names := newDeclarations(t)
	var python []string
	rows := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.Contains(line, "| Python |") {
			continue
		}
		rows++
		for _, code := range inCode.FindAllStringSubmatch(cells[1], -1) {
			python = append(python, pyWord.FindAllString(code[1], -1)...)
		}
		for _, code := range inCode.FindAllStringSubmatch(cells[2]+cells[3], -1) {
			if goName.MatchString(code[1]) && !names.has(code[1]) && code[1] != "EOFError" {
				t.Errorf("there is no %s: %s", code[1], line)
			}
		}

		if second := strings.TrimSpace(cells[2]); second != "-" && !inCode.MatchString(second) {
			t.Errorf("no counterpart: %s", line)
		}
	}

	if rows < 60 {
		t.Fatalf("%d rows", rows)
	}
	for _, name := range pythonNames {
		if !slices.Contains(python, name) {
			t.Errorf("Python's %s is not in it", name)
		}
	}
}
