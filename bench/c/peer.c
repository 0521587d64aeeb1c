// Measures what C reaches with two processes, on request.
//
// A line of standard input is a command with a number, and for some the processors for both processes,
// answered with a line: "ok", a figure and the processes that it was measured in, or "error" and a text.
#include "peer.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared *s;
int cpus[MOST];

int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

void fail(const char *what) {
  printf("error %s\n", what);
  exit(1);
}

void begin(void) {
  pthread_mutexattr_t a;
  memset(s, 0, sizeof *s);
  if (pthread_mutexattr_init(&a) || pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED) ||
      pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST) || pthread_mutex_init(&s->lock, &a))
    fail("pthread_mutex_init");
}

pid_t child(void (*f)(int, long), int i, long n) {
  pid_t parent = getpid(), p;
  fflush(stdout);
  p = fork();
  if (p < 0) fail("fork");
  if (p > 0) return p;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  f(i, n);
  _exit(0);
}

void reap(pid_t p) {
  int status;
  if (waitpid(p, &status, 0) != p || status != 0) fail("a process has failed");
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set)) _exit(3);
}

static void (*timed_laps)(int i, long n);

static void timed(int i, long n) {
  if (cpus[i] >= 0) pin(cpus[i]);
  timed_laps(i, n / 10);
  atomic_fetch_sub(&s->ready, 1);
  while (atomic_load(&s->ready)) sched_yield();
  s->ran[i].begin = now();
  timed_laps(i, n);
  s->ran[i].end = now();
}

int64_t in_processes(int processes, void (*laps)(int, long), long n, pid_t p[MOST]) {
  int64_t first = INT64_MAX, last = 0;
  timed_laps = laps;
  s->ready = processes;
  for (int i = 0; i < processes; i++) p[i] = child(timed, i, n);
  for (int i = 0; i < processes; i++) {
    reap(p[i]);
    if (s->ran[i].begin < first) first = s->ran[i].begin;
    if (s->ran[i].end > last) last = s->ran[i].end;
  }
  return last - first;
}

void futex_wait(_Atomic uint32_t *word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void futex_wake(_Atomic uint32_t *word) {
  syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int main(void) {
  char line[128], command[32];
  long n;
  s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (s == MAP_FAILED) fail("mmap");
  while (fgets(line, sizeof line, stdin)) {
    cpus[0] = cpus[1] = -1;
    if (sscanf(line, "%31s %ld %d %d", command, &n, &cpus[0], &cpus[1]) < 2 || n < 10)
      fail("no command with a number");
    if (!strcmp(command, "mutex")) mutex(1, n);
    else if (!strcmp(command, "mutex-2")) mutex(2, n);
    else if (!strcmp(command, "futex")) futex(n);
    else if (!strcmp(command, "ring")) ring(n);
    else if (!strcmp(command, "slot")) slot(n);
    else if (!strcmp(command, "ping-pong")) ping_pong(n);
    else fail("no such command");
    fflush(stdout);
  }
  return 0;
}
