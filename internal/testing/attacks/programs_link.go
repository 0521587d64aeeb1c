//go:build linux

package attacks

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/insight"
	"github.com/go-multiprocessing/mp/internal/link"
	"github.com/go-multiprocessing/mp/internal/shm"
)

func keepDoorbellFull(ctx context.Context, _ *victim) error {
	for ctx.Err() == nil {
		fill(doorbellFD)
		_ = await(ctx, doorbellFD, unix.POLLOUT)
	}
	return nil
}

func seemToSleep(_ context.Context, v *victim) error {
	mem, err := linkSegment()
	if err != nil {
		return err
	}
	asleep := shm.Word32(mem, offsetOf("asleep"))
	asleep.Store(1)
	fill(wakeFD)
	if err := v.hand(wakeFD); err != nil {
		return err
	}
	// The task also ignores its context.
	for {
		asleep.Store(1)
	}
}

func lingerOnLink(ctx context.Context, v *victim) error {
	fd, err := v.lingering()
	if err != nil {
		return err
	}
	message := append(link.MessageHead(kindOf("log"), 0, 1), 0)
	if err := sendWith(ctx, socketFD, message, fd); err != nil {
		return err
	}
	_ = unix.Close(fd)
	os.Exit(3)
	return nil
}

func grow(ctx context.Context, _ *victim) error {
	fd, err := linkSocket()
	if err != nil {
		return err
	}
	if err := writeAll(ctx, fd, link.MessageHead(kindOf("payload"), 1, 1<<40)); err != nil {
		return err
	}
	part := make([]byte, 1<<20)
	for range 260 {
		if err := writeAll(ctx, fd, part); err != nil {
			return err
		}
	}
	return nil // the bytes have been read, so there is nothing to wait for
}

// returnError commits an encoded error as the outcome of its own task.
func returnError(ctx context.Context, body []byte) error {
	mem, err := linkSegment()
	if err != nil {
		return err
	}
	const failed = 1
	seq := running(mem)
	if err := say(ctx, socketFD, kindOf("payload"), seq, body); err != nil {
		return err
	}
	commit(mem, seq, failed)
	_, err = unix.Write(doorbellFD, []byte{1})
	return errors.Join(err, rest(ctx))
}

// wideError returns an encoded error of n empty parts of one byte each.
func wideError(n int) []byte {
	const parts, empty = 6, 0xa0
	b := binary.BigEndian.AppendUint64([]byte{0xa1, parts, 0x9b}, uint64(n))
	return append(b, bytes.Repeat([]byte{empty}, n)...)
}

// deepError returns an encoded chain of errors, each with a text.
func deepError(depth int) []byte {
	text := func(s string) []byte { b, _ := cbor.Marshal(s); return b }
	var b []byte
	for i := range depth {
		b = append(b, 0xa3, 1)
		b = append(b, text(strings.Repeat(": ", depth-i)+"x")...)
		b = append(b, 4)
		b = append(b, text("os.SyscallError")...)
		b = append(b, 6, 0x81)
	}
	return append(b, 0xa1, 1, 0x61, 'x')
}

// submitMore keeps submitting calls, so that the attacker's worker must be woken.
func submitMore(ctx context.Context, w *world) {
	select {
	case <-w.holders.first:
	case <-ctx.Done():
		return
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	patient, cancel := context.WithTimeout(context.Background(), CallTimeout)
	defer cancel()
	var calls []*mp.Future[int]
	for ctx.Err() == nil {
		calls = append(calls, mp.Submit(patient, w.attacked, double, len(calls)))
		<-ticker.C
	}

	for _, c := range calls {
		if _, err := c.Result(context.Background()); errors.Is(err, context.DeadlineExceeded) {
			w.fault("a call behind the attack: %v", err)
			return
		}
	}
}

// profiles keeps requesting profiles. Each request must return soon after a second.
func profiles(ctx context.Context, w *world) {
	const brief = time.Second
	for ctx.Err() == nil {
		c, cancel := context.WithTimeout(ctx, brief)
		began := time.Now()
		_ = insight.Profile(c, w.attacked, "heap", io.Discard)
		cancel()
		if took := time.Since(began); took > brief+w.bounds.Grace+Slack {
			w.fault("insight.Profile with %v took %v", brief, took)
		}
	}
}

// answerQuestions answers the parent's queries in place of the runtime.
func answerQuestions(ctx context.Context, body []byte) error {
	fd, err := linkSocket()
	if err != nil {
		return err
	}
	for {
		kind, seq, err := hear(ctx, fd)
		if err == nil && kind == kindOf("ask") {
			err = say(ctx, fd, kind, seq, body)
		}
		if err != nil {
			return err
		}
	}
}

func profileBomb(ctx context.Context, _ *victim) error {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(make([]byte, 64<<20)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return answerQuestions(ctx, profileAnswer(bytes.Repeat(buf.Bytes(), 16)))
}

func profileHuge(ctx context.Context, _ *victim) error {
	return answerQuestions(ctx, profileAnswer(make([]byte, 300<<20)))
}

// profileAnswer returns a worker's encoded answer to a query for a profile.
func profileAnswer(data []byte) []byte {
	b, err := cbor.Marshal(struct {
		Data []byte `cbor:"1,keyasint"`
	}{data})
	if err != nil {
		panic(err)
	}
	return b
}

// stacksBomb keeps sending stacks, before and after the parent asks for them.
func stacksBomb(context.Context, *victim) error {
	fd, err := linkSocket()
	if err != nil {
		return err
	}

	const parts = 200
	part := bytes.Repeat([]byte("goroutine 1 [running]:\n"), 1<<20/23)
	head := link.MessageHead(kindOf("stacks"), 0, uint64(parts*len(part)))
	for {
		err := writeAll(context.Background(), fd, head)
		for i := 0; i < parts && err == nil; i++ {
			err = writeAll(context.Background(), fd, part)
		}
		if err != nil {
			return err
		}
	}
}

func logFlood(ctx context.Context, _ *victim) error {
	text := strings.Repeat("\"", 1<<20)
	const records = 600
	for i := 0; i < records && ctx.Err() == nil; i++ {
		slog.Info(text)
	}
	return ctx.Err()
}
