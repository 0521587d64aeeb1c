// A mutex, and a futex.
#include "peer.h"

#include <stdio.h>
#include <unistd.h>

static void count(int i, long n) {
  (void)i;
  for (; n > 0; n--) {
    if (pthread_mutex_lock(&s->lock)) _exit(2);
    s->count++;
    if (pthread_mutex_unlock(&s->lock)) _exit(2);
  }
}

// mutex measures n pairs of lock and unlock in each process.
void mutex(int processes, long n) {
  pid_t p[MOST] = {0};
  begin();
  double ns = (double)in_processes(processes, count, n, p) / (double)(processes * n);
  if (s->count != processes * (n + n / 10)) fail("lost updates");
  printf("ok %.9g %d %d\n", processes == 1 ? ns : 1e9 / ns, p[0], p[1]);
}

static void await(_Atomic uint32_t *word, uint32_t value) {
  uint32_t v;
  while ((v = atomic_load(word)) != value) futex_wait(word, v);
}

static void tell(_Atomic uint32_t *word, uint32_t value) {
  atomic_store(word, value);
  futex_wake(word);
}

static void answerer(int i, long n) {
  (void)i;
  for (long k = 1; k <= n; k++) {
    await(&s->ping, (uint32_t)k);
    s->count++;
    tell(&s->pong, (uint32_t)k);
  }
}

// futex measures n times from a wake-up to its answer.
void futex(long n) {
  long warm = n / 10;
  int64_t start = 0;
  begin();
  pid_t p = child(answerer, 0, warm + n);
  for (long i = 1; i <= warm + n; i++) {
    if (i == warm + 1) start = now();
    tell(&s->ping, (uint32_t)i);
    await(&s->pong, (uint32_t)i);
  }
  start = now() - start;
  reap(p);
  if (s->count != warm + n) fail("lost answers");
  printf("ok %.9g %d\n", (double)start / (double)n / 1e3, p);
}
