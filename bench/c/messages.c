// A ring in shared memory, and a socket.
#include "peer.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPINS = 2000 };

// await_change waits until a word has another value, and returns that: for a while it looks, then it sleeps.
static uint32_t await_change(_Atomic uint32_t *word, uint32_t old, _Atomic uint32_t *sleeps) {
  uint32_t v;
  for (int i = 0; i < SPINS; i++)
    if ((v = atomic_load_explicit(word, memory_order_acquire)) != old) return v;
  for (;;) {
    atomic_store(sleeps, 1);
    if ((v = atomic_load(word)) != old) break;
    futex_wait(word, old);
  }
  atomic_store_explicit(sleeps, 0, memory_order_relaxed);
  return v;
}

// change sets a word, and wakes who sleeps until it changes. Only the sleeper says that it does not sleep any
// more: a word that was changed late would take that back which it says of its next sleep.
static void change(_Atomic uint32_t *word, uint32_t v, _Atomic uint32_t *sleeps) {
  atomic_store(word, v);
  if (atomic_load(sleeps)) futex_wake(word);
}

static void put(long n) {
  char element[ELEMENT] = {0};
  uint32_t put = s->put, got = s->got;
  for (long k = 0; k < n; k++) {
    while (put - got == SLOTS) got = await_change(&s->got, got, &s->putter_sleeps);
    memcpy(element, &k, sizeof k);
    memcpy(s->slots[put % SLOTS], element, ELEMENT);
    change(&s->put, ++put, &s->getter_sleeps);
  }
}

static void get(long n) {
  char element[ELEMENT];
  uint32_t put = s->put, got = s->got;
  for (long k = 0; k < n; k++) {
    while (put == got) put = await_change(&s->put, put, &s->getter_sleeps);
    memcpy(element, s->slots[got % SLOTS], ELEMENT);
    change(&s->got, ++got, &s->putter_sleeps);
    if (memcmp(element, &k, sizeof k)) _exit(2);
  }
}

static void put_or_get(int i, long n) { (i == 0 ? put : get)(n); }

// ring measures n elements from one process to another.
void ring(long n) {
  pid_t p[MOST];
  begin();
  int64_t ns = in_processes(2, put_or_get, n, p);
  printf("ok %.9g %d %d\n", (double)n / (double)ns * 1e9, p[0], p[1]);
}

static char large[LARGE];

static void fill_slot(long n) {
  uint32_t put = s->put, got = s->got;
  for (long k = 0; k < n; k++) {
    while (put != got) got = await_change(&s->got, got, &s->putter_sleeps);
    memcpy(large, &k, sizeof k);
    memcpy(s->slot, large, LARGE);
    change(&s->put, ++put, &s->getter_sleeps);
  }
}

static void empty_slot(long n) {
  uint32_t put = s->put, got = s->got;
  for (long k = 0; k < n; k++) {
    while (put == got) put = await_change(&s->put, put, &s->getter_sleeps);
    memcpy(large, s->slot, LARGE);
    change(&s->got, ++got, &s->putter_sleeps);
    if (memcmp(large, &k, sizeof k)) _exit(2);
  }
}

static void fill_or_empty(int i, long n) { (i == 0 ? fill_slot : empty_slot)(n); }

// slot measures the bytes of n large elements, copied into one place by one process and out of it by another.
void slot(long n) {
  pid_t p[MOST];
  begin();
  memset(large, 1, LARGE);
  int64_t ns = in_processes(2, fill_or_empty, n, p);
  printf("ok %.9g %d %d\n", (double)n * LARGE / (double)ns * 1e9, p[0], p[1]);
}

static int sockets[2];

static void receive(int fd, char *message) {
  for (ssize_t n, at = 0; at < ELEMENT; at += n)
    if ((n = read(fd, message + at, (size_t)(ELEMENT - at))) <= 0) _exit(2);
}

static void send_all(int fd, const char *message) {
  if (write(fd, message, ELEMENT) != ELEMENT) _exit(2);
}

static void send_and_receive(int i, long n) {
  char message[ELEMENT] = {0};
  for (long k = 0; k < n; k++) {
    if (i == 0) {
      memcpy(message, &k, sizeof k);
      send_all(sockets[i], message);
    }
    receive(sockets[i], message);
    if (memcmp(message, &k, sizeof k)) _exit(2);
    if (i == 1) send_all(sockets[i], message);
  }
}

// ping_pong measures n messages and their answers over a socketpair.
void ping_pong(long n) {
  pid_t p[MOST];
  begin();
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)) fail("socketpair");
  int64_t ns = in_processes(2, send_and_receive, n, p);
  close(sockets[0]);
  close(sockets[1]);
  printf("ok %.9g %d %d\n", (double)n / (double)ns * 1e9, p[0], p[1]);
}
