//go:build cgo && linux

package c

/*
#cgo LDFLAGS: -pthread
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static volatile int *nowhere;

static void use_null(void) { *nowhere = 1; }

static void *run(void *arg) {
	use_null();
	return arg;
}

static int use_null_elsewhere(void) {
	pthread_t t;
	int err = pthread_create(&t, NULL, run, NULL);
	return err ? err : pthread_join(t, NULL);
}

static void sleep_for_ever(void) {
	for (;;)
		pause();
}
*/
import "C"

import (
	"context"
	"syscall"

	"github.com/go-multiprocessing/mp/internal/testing/deaths"
)

// Deaths holds the deaths that need C.
var Deaths = map[string]deaths.Death{
	"C: uses a null pointer on the task's thread": func(context.Context, bool) error {
		C.use_null()
		return nil
	},
	"C: uses a null pointer on a thread of its own": func(context.Context, bool) error {
		if err := C.use_null_elsewhere(); err != 0 {
			return syscall.Errno(err)
		}
		return nil
	},
	"C: calls abort": func(context.Context, bool) error {
		C.abort()
		return nil
	},
	"C: calls exit(3)": func(context.Context, bool) error {
		C.exit(3)
		return nil
	},
	"C: sleeps for ever, until the deadline": func(context.Context, bool) error {
		C.sleep_for_ever()
		return nil
	},
}
