//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/mptest"
)

func TestMain(m *testing.M) { mptest.Main(m) }

const pictureDir = "testdata/pictures"

// Each %d stands for a number: of decoded and refused copies, which differ between versions of Go,
// and of workers. Each %s says how a task that ran out of memory ended.
const wantReport = `3 pictures below testdata/pictures: 3 good, 0 already broken
9 copies broken here: %d decoded all the same, %d refused with an error

and a task that                       ended as     for the reason  with
  uses nil in a goroutine of its own  WorkerError  fatal error     exit code 2
  calls os.Exit(3)                    WorkerError  exit            exit code 3
  kills its own process               WorkerError  signal          signal 9 (killed)
  loops for ever                      WorkerError  deadline        signal 9 (killed)
  reads a pipe that nobody writes     WorkerError  deadline        signal 9 (killed)
  allocates without end               WorkerError  out of memory   %s
  decodes a picture of 900 MB         WorkerError  out of memory   %s
  recurses without end                WorkerError  fatal error     exit code 2
  panics                              PanicError   panic           its worker lives

all 3 good pictures have their thumbnail; the pool is at full strength: %d workers
`

func TestSurvive(t *testing.T) {
	r, err := survive(t.Context(), pictureDir)
	if err := errors.Join(err, r.complaint()); err != nil {
		t.Fatal(err)
	}

	if r.refused == 0 || r.decoded+r.refused != 9 {
		t.Errorf("%d copies decoded, %d refused", r.decoded, r.refused)
	}
	ends := map[string]string{}
	for _, o := range r.hostile {
		ends[o.Deed] = endingOf(o.err).status
		var dead *mp.WorkerError
		if errors.As(o.err, &dead) && o.Deed == "recurses without end" && !strings.Contains(dead.Stderr, "stack overflow") {
			t.Errorf("no stack overflow: %s", dead.Stderr)
		}
	}

	want := fmt.Sprintf(wantReport, r.decoded, r.refused, ends["allocates without end"], ends[aBomb], mp.NumCPU())
	if memoryLimit == 0 {
		want = without(want, "out of memory")
	}
	var got bytes.Buffer
	if err := r.write(&got); err != nil || got.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got.String(), want)
	}
}

func without(text, word string) string {
	lines := slices.Collect(strings.Lines(text))
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, word) }), "")
}

// Anything unexpected is reported, and a report with complaints does not claim success.
func TestComplaints(t *testing.T) {
	pictures, err := readPictures(pictureDir)
	if err != nil {
		t.Fatal(err)
	}

	picture := pictures[0]
	right, err := scaled(picture.Data)
	if err != nil {
		t.Fatal(err)
	}

	if r := newReport("", []outcome{{picture, right, nil}}); r.complaint() != nil {
		t.Error(r.complaint())
	}

	other := right
	other.Pix = append(bytes.Clone(right.Pix[1:]), 7)
	for name, o := range map[string]outcome{
		"another thumbnail": {picture, other, nil},
		"no thumbnail":      {picture, Thumbnail{}, nil},
		"an error":          {picture, Thumbnail{}, image.ErrFormat},
		"no error":          {task{Name: "x", Data: []byte("x")}, Thumbnail{}, nil},
		"a deed survived":   {task{Deed: "calls os.Exit(3)"}, Thumbnail{}, nil},
		"another fatal end": {task{Deed: "allocates without end"}, Thumbnail{}, &mp.WorkerError{Reason: mp.ReasonFatal, ExitCode: 2, Stderr: "fatal error: x\nout of memory"}},
		"another reason":    {task{Deed: "calls os.Exit(3)"}, Thumbnail{}, &mp.WorkerError{Reason: mp.ReasonFatal, ExitCode: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReport("", slices.Repeat([]outcome{o}, 9))
			if r.complaint() == nil || !strings.HasSuffix(r.complaint().Error(), "and 4 more") {
				t.Errorf("got %v", r.complaint())
			}
			var out bytes.Buffer
			if err := r.write(&out); err != nil || strings.Contains(out.String(), "full strength") {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}

func TestBadDirectories(t *testing.T) {
	for name, dir := range map[string]string{
		"missing":     filepath.Join(t.TempDir(), "missing"),
		"a file":      filepath.Join(pictureDir, "wide.png"),
		"no pictures": t.TempDir(),
	} {
		var out bytes.Buffer
		if err := run(t.Context(), &out, dir); err == nil || !strings.Contains(err.Error(), dir) || out.Len() > 0 {
			t.Errorf("%s: got %v, %q", name, err, out.String())
		}
	}
}

func TestBrokenCopies(t *testing.T) {
	whole := task{Name: "a.png", Data: []byte("the bytes of a picture")}
	first, again := brokenCopies([]task{whole}), brokenCopies([]task{whole})
	for i, c := range first {
		if !c.Copy || c.Name != whole.Name || bytes.Equal(c.Data, whole.Data) || !bytes.Equal(c.Data, again[i].Data) {
			t.Errorf("copy %d: %q, then %q", i, c.Data, again[i].Data)
		}
	}
	if len(first) != 3 || len(brokenCopies([]task{{Name: "empty.png"}})) != 0 {
		t.Errorf("%d copies", len(first))
	}
}

func TestMix(t *testing.T) {
	for n := range 30 {
		all := mix(make([]task, n), hostileTasks())
		if want := n + len(hostileTasks()); len(all) != want || all[want-1].Deed == "" {
			t.Errorf("%d tasks, not %d", len(all), want)
		}
	}
}

func TestShrink(t *testing.T) {
	for from, want := range map[image.Point]image.Point{
		{200, 100}: {64, 32}, {1, 1000}: {1, 64}, {3, 5}: {3, 5}, {64, 64}: {64, 64},
	} {
		got := shrink(image.NewGray(image.Rect(-7, 9, from.X-7, from.Y+9)))
		if got.Width != want.X || got.Height != want.Y || len(got.Pix) != 4*want.X*want.Y {
			t.Errorf("%v: %d by %d, %d bytes", from, got.Width, got.Height, len(got.Pix))
		}
	}
	if nearest(0, 2, 100) != 25 || nearest(1, 2, 100) != 75 || nearest(4, 5, 5) != 4 {
		t.Error("the nearest pixels are others")
	}
}

// A picture that claims to be gigantic costs no memory.
func TestGigantic(t *testing.T) {
	gif := []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00")
	if _, err := scaled(gif); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("got %v", err)
	}
}

// The bomb is a valid picture.
func TestBomb(t *testing.T) {
	data := bomb()
	head, kind, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil || kind != "png" || head.Width*head.Height != 900e6 || len(data) > 200e3 {
		t.Fatal(head, kind, len(data), err)
	}
}
