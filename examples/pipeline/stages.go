package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/examples/internal/tree"
	"github.com/go-multiprocessing/mp/ipc"
)

// queues holds the queues that connect the stages. Each worker gets all of them.
type queues struct {
	Todo *ipc.Queue[todo] // from main to the readers
	Read *ipc.Queue[text] // to the packers
	Pack *ipc.Queue[text] // to the indexers
	Done *ipc.Queue[done] // from all stages to main
}

// todo is a file that has yet to be read.
type todo struct {
	File int // its number
	Path string
}

// text is a file that has been read.
type text struct {
	File int
	Data *ipc.Slab[byte] // passed on together with the text
	Size int
}

func (t text) bytes() []byte { return t.Data.Slice()[:t.Size] }

// done is a file that has been compressed, or could not be read.
type done struct {
	File   int
	Info   fileInfo
	Packed []byte
}

// waiting is how many files may wait for a stage, which is enough to keep the stage busy.
const waiting = 16

func newQueues() (q queues, err error) {
	capacity := ipc.Capacity(waiting)
	var errs [4]error
	q.Todo, errs[0] = ipc.NewQueue[todo](capacity)
	q.Read, errs[1] = ipc.NewQueue[text](capacity)
	q.Pack, errs[2] = ipc.NewQueue[text](capacity)
	q.Done, errs[3] = ipc.NewQueue[done](capacity)
	if err = errors.Join(errs[:]...); err != nil {
		q.discard()
	}
	return q, err
}

// discard drops the elements that are left in the queues. After a successful job no elements are
// left.
func (q queues) discard() {
	for _, x := range []interface{ Discard() error }{q.Todo, q.Read, q.Pack, q.Done} {
		_ = x.Discard()
	}
}

var readFiles = mp.RegisterAction("readFiles", func(ctx context.Context, q queues) error {
	for todo, err := range q.Todo.All(ctx) {
		if err != nil {
			return err
		}
		t := text{File: todo.File}
		if t.Data, t.Size, err = readSlab(todo.Path); err != nil {
			// This error ends the work on the file, but not the job.
			err = q.Done.Put(ctx, done{File: todo.File, Info: fileInfo{Problem: tree.Reason(err).Error()}})
		} else if err = q.Read.Put(ctx, t); err != nil {
			err = errors.Join(err, t.Data.Close()) // the slab has not been passed on
		}
		if err != nil {
			return err
		}
	}

	return nil
})

// readSlab reads a file into shared memory. If the file grows meanwhile, only its original length
// is read.
func readSlab(path string) (*ipc.Slab[byte], int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}

	data, err := ipc.NewSlab[byte](max(int(info.Size()), 1)) // a slab cannot be empty
	if err != nil {
		return nil, 0, err
	}
	n, err := io.ReadFull(f, data.Slice()[:info.Size()])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		_ = data.Close()
		return nil, 0, err
	}

	return data, n, nil
}

var packFiles = mp.RegisterAction("packFiles", func(ctx context.Context, q queues) error {
	p := newPacker()
	for t, err := range q.Read.All(ctx) {
		if err != nil {
			return err
		}

		packed, info, err := p.pack(t.bytes())
		if err == nil {
			err = q.Done.Put(ctx, done{t.File, info, packed})
		}
		if err == nil {
			err = q.Pack.Put(ctx, t)
		}
		if err != nil {
			return errors.Join(err, t.Data.Close())
		}
	}

	return nil
})

// indexFiles returns an index of the files that it has received.
var indexFiles = mp.Register("indexFiles", func(ctx context.Context, q queues) (index, error) {
	x := index{}
	for t, err := range q.Pack.All(ctx) {
		if err != nil {
			return nil, err
		}
		x.add(t.File, t.bytes())
		_ = t.Data.Close() // this is the last stage, so the memory can be reused for the next file
	}
	return x, nil
})

// inStages does a job with the given number of worker processes for each stage.
func inStages(ctx context.Context, j job, workers int, to io.Writer) (result, error) {
	q, err := newQueues()
	if err != nil {
		return result{}, err
	}
	defer q.discard()
	// Each task needs a worker of its own, since the tasks wait for each other.
	pool, err := mp.NewPool(mp.PoolConfig{Workers: 3 * workers})
	if err != nil {
		return result{}, err
	}
	defer pool.Close()

	// The first failure ends everything else, since the workers use this context too.
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var group sync.WaitGroup
	together := func(f func() error) {
		group.Go(func() {
			if err := f(); err != nil {
				fail(err)
			}
		})
	}

	same := slices.Repeat([]queues{q}, workers)
	readers := mp.MapAsync(ctx, pool, readFiles, same)
	packers := mp.MapAsync(ctx, pool, packFiles, same)
	indexers := mp.MapAsync(ctx, pool, indexFiles, same)

	// Each queue is closed when all tasks that put elements into it have returned.
	var parts []index
	together(func() error { return feed(ctx, j, q.Todo) })
	together(func() error {
		_, err := readers.Result(ctx)
		return errors.Join(err, q.Read.Close())
	})

	together(func() error {
		_, err := packers.Result(ctx)
		return errors.Join(err, q.Pack.Close(), q.Done.Close()) // the readers have already ended
	})
	together(func() (err error) {
		parts, err = indexers.Result(ctx)
		return err
	})
	r := result{files: make([]fileInfo, len(j.names))}
	together(func() error { return r.collect(ctx, j, q.Done, to) })

	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return result{}, err
	}
	r.words = merge(parts)
	return r, nil
}

// feed puts all files of a job into a queue.
func feed(ctx context.Context, j job, to *ipc.Queue[todo]) error {
	for i := range j.names {
		if err := to.Put(ctx, todo{i, j.path(i)}); err != nil {
			return err
		}
	}
	return to.Close()
}

// collect writes the archive, in the order in which the files are done.
func (r *result) collect(ctx context.Context, j job, from *ipc.Queue[done], to io.Writer) error {
	archive := zip.NewWriter(to)
	missing := len(j.names)
	for d, err := range from.All(ctx) {
		if err != nil {
			return err
		}
		missing--
		r.files[d.File] = d.Info
		if d.Info.Problem != "" {
			continue
		}
		if err := d.Info.addTo(archive, j.names[d.File], d.Packed); err != nil {
			return err
		}
	}

	if missing != 0 {
		return fmt.Errorf("%d files got lost on their way", missing)
	}

	return archive.Close()
}

// merge merges the indexes of several workers.
func merge(parts []index) index {
	all := index{}
	for _, part := range parts {
		for word, files := range part {
			all[word] = append(all[word], files...)
		}
	}
	for _, files := range all {
		slices.Sort(files)
	}
	return all
}
