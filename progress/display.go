package progress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/stdio"
)

// Config says where bars are shown. The zero value is right for commands.
type Config struct {
	// Output is the terminal on which bars are shown. If it is not a terminal, nothing is shown.
	// Defaults to os.Stderr.
	Output io.Writer
	// Always shows bars even if Output is not a terminal.
	Always bool
}

// A Display shows bars one below the other, in the order in which their Maps begin, each with the
// rate, the time left and the number of failures. While the Display is open, workers' output to the
// same terminal appears above the bars, unless the pool's [mp.Output] sends that output elsewhere.
// The program must write its own output to the Display. A Display is safe for concurrent use.
type Display struct {
	out  io.Writer
	bars *mpb.Progress // nil if nothing is shown

	mu      sync.Mutex
	open    map[*bar]bool
	line    []byte // an unfinished line
	closed  bool
	uncover []func()
}

// Start returns a Display, which shows the bars that [Display.Bar] makes. A Display costs a
// goroutine until [Display.Close].
func Start(cfg Config) *Display {
	d := &Display{out: cfg.Output, open: map[*bar]bool{}}
	if d.out == nil {
		d.out = os.Stderr
	}
	options := []mpb.ContainerOption{mpb.WithOutput(d.out)}
	switch {
	case isTerminal(d.out):
	case cfg.Always:
		options = append(options, mpb.WithAutoRefresh())
	default:
		return d
	}

	d.bars = mpb.New(options...)
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		if d.out == io.Writer(f) || isTerminal(d.out) && isTerminal(f) {
			d.uncover = append(d.uncover, stdio.Cover(f, d))
		}
	}

	return d
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}

// Bar returns an option that shows a bar for a Map or Stream, or a count while the length of a
// Stream is unknown. The bar stays visible after the Map or Stream has ended. The option can be
// used for several Maps or Streams, one after the other.
func (d *Display) Bar(name string) mp.MapOption { return d.BarOf(name, 0) }

// BarOf is like [Display.Bar], but for a Stream whose number of elements the caller knows.
func (d *Display) BarOf(name string, total int) mp.MapOption {
	var b *bar
	return mp.OnProgress(func(p mp.Progress) {
		if p.Total < 0 && total > 0 {
			p.Total = max(total, p.Done)
		}
		if b == nil {
			b = d.newBar(name, p)
		}
		b.show(p)
		if p.Over {
			d.drop(b)
			b = nil
		}
	})
}

// Write prints lines above the bars. It buffers an unfinished line until the rest of the line is
// written.
func (d *Display) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bars == nil || d.closed {
		return d.out.Write(b)
	}
	d.line = append(d.line, b...)
	if end := bytes.LastIndexByte(d.line, '\n') + 1; end > 0 {
		_, err := d.bars.Write(d.line[:end])
		d.line = slices.Delete(d.line, 0, end)
		return len(b), err
	}
	return len(b), nil
}

// Close shows the last state of all bars and ends the display. After that, what is written to the
// Display goes straight to Output. Bars of Maps that are still running stay as they are. Closing
// twice is fine.
func (d *Display) Close() error {
	for _, f := range d.uncover {
		f()
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.bars == nil {
		return nil
	}
	d.closed = true
	for b := range d.open {
		b.mpb.Abort(false)
	}

	d.bars.Wait()
	_, err := d.out.Write(d.line)
	d.line = nil
	return err
}

// bar is the bar of one Map. The zero value shows nothing.
type bar struct {
	mpb *mpb.Bar

	mu   sync.Mutex
	last mp.Progress
}

func (d *Display) newBar(name string, p mp.Progress) *bar {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &bar{last: p}
	if d.bars == nil || d.closed {
		return b
	}
	text := decor.Any(func(decor.Statistics) string { return b.text() }, decor.WCSyncSpaceR)
	b.mpb = d.bars.New(0, mpb.BarStyle(), // 0, since show decides when the bar is complete
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(text))
	d.open[b] = true
	return b
}

func (d *Display) drop(b *bar) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, b)
}

func (b *bar) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return describe(b.last)
}

func (b *bar) show(p mp.Progress) {
	b.mu.Lock()
	b.last = p
	b.mu.Unlock()
	if b.mpb == nil {
		return
	}

	if p.Total >= 0 {
		b.mpb.SetTotal(int64(p.Total), false)
	}

	b.mpb.SetCurrent(int64(p.Done))
	switch {
	case !p.Over:
	case p.Total < 0 || p.Done >= p.Total:
		b.mpb.SetTotal(int64(p.Done), true)
	default:
		b.mpb.Abort(false)
	}
}

// describe returns the text that is shown beside a bar.
func describe(p mp.Progress) string {
	count := fmt.Sprint(p.Done)
	if p.Total >= 0 {
		count = fmt.Sprintf("%d/%d", p.Done, p.Total)
	}
	text := count + "  " + rate(p)
	switch {
	case p.Over:
		text += "  in " + about(p.Elapsed).String()
	case p.Total >= 0 && p.Done > 0:
		text += "  " + about(left(p)).String() + " left"
	}
	if p.Failed > 0 {
		text += fmt.Sprintf("  %d failed", p.Failed)
	}
	return text
}

// left returns the time left at the current rate.
func left(p mp.Progress) time.Duration {
	return time.Duration(float64(p.Elapsed) * float64(p.Total-p.Done) / float64(p.Done))
}

func rate(p mp.Progress) string {
	each := float64(p.Done) / max(p.Elapsed.Seconds(), 1e-9)
	if each < 10 {
		return fmt.Sprintf("%.1f/s", each)
	}
	return fmt.Sprintf("%.0f/s", each)
}

// about rounds d to a precision that is worth showing.
func about(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
