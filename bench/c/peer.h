// What the files of the C peer have in common.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define LINE _Alignas(64)

enum { SLOTS = 1024, ELEMENT = 64, LARGE = 1 << 20, MOST = 2 };

// What processes share.
struct shared {
  LINE pthread_mutex_t lock;
  LINE volatile long count;
  LINE _Atomic uint32_t ready;
  LINE _Atomic uint32_t ping;
  LINE _Atomic uint32_t pong;
  LINE struct { int64_t begin, end; } ran[MOST];
  // Of the ring: how many elements were ever put and got, and who sleeps until there are more.
  LINE _Atomic uint32_t put;
  LINE _Atomic uint32_t got;
  LINE _Atomic uint32_t putter_sleeps;
  LINE _Atomic uint32_t getter_sleeps;
  LINE char slots[SLOTS][ELEMENT];
  LINE char slot[LARGE];
};

extern struct shared *s;

// Where the processes are to run; -1: anywhere.
extern int cpus[MOST];

int64_t now(void);

// fail ends the program, with a word on what has failed.
void fail(const char *what);

// begin makes everything new.
void begin(void);

// child starts a process that calls f.
pid_t child(void (*f)(int i, long n), int i, long n);

void reap(pid_t p);

// in_processes has each process do n laps, after a tenth of it to warm up, and returns the
// nanoseconds from the first begin to the last end.
int64_t in_processes(int processes, void (*laps)(int i, long n), long n, pid_t p[MOST]);

void futex_wait(_Atomic uint32_t *word, uint32_t value);
void futex_wake(_Atomic uint32_t *word);

// The commands.
void mutex(int processes, long n);
void futex(long n);
void ring(long n);
void slot(long n);
void ping_pong(long n);
