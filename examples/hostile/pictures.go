package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/go-multiprocessing/mp/examples/internal/tree"
)

// A task is the argument that is sent to a worker: a picture, or a hostile deed.
type task struct {
	Name string // of the file, relative to the directory
	Data []byte // of the picture, as encoded
	Copy bool   // whether the picture is a copy that was broken here
	Deed string // what to do instead of scaling a picture; "" to scale it
}

var extensions = []string{".png", ".jpeg", ".jpg", ".gif"}

// readPictures reads the pictures below dir. If it cannot read a file, it skips that file with a
// message on stderr.
func readPictures(dir string) ([]task, error) {
	skip := func(name string, why error) { fmt.Fprintf(os.Stderr, "hostile: skipping %s: %v\n", name, why) }
	names, err := tree.Files(dir, skip, extensions...)
	if err != nil {
		return nil, err
	}
	var pictures []task
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		data, err := os.ReadFile(path)
		if err != nil {
			skip(path, tree.Reason(err))
			continue
		}
		pictures = append(pictures, task{Name: name, Data: data})
	}

	if len(pictures) == 0 {
		return nil, fmt.Errorf("no pictures below %s", dir)
	}

	return pictures, nil
}

// brokenCopies makes three broken copies of each picture. The copies are the same in each run.
func brokenCopies(pictures []task) []task {
	var broken []task
	for i, p := range pictures {
		if len(p.Data) == 0 {
			continue // it cannot be broken further
		}
		chance := rand.New(rand.NewPCG(1, uint64(i)))
		for _, data := range [][]byte{
			p.Data[:chance.IntN(len(p.Data))],
			flipped(p.Data, 1, chance),
			flipped(p.Data, 16, chance),
		} {
			broken = append(broken, task{Name: p.Name, Data: data, Copy: true})
		}
	}
	return broken
}

// flipped returns a copy of data in which up to n bytes are changed.
func flipped(data []byte, n int, chance *rand.Rand) []byte {
	data = bytes.Clone(data)
	for range n {
		data[chance.IntN(len(data))] ^= byte(1 + chance.IntN(255))
	}
	return data
}

// mix spreads the hostile tasks evenly among the pictures.
func mix(pictures, hostile []task) []task {
	var all []task
	for i, h := range hostile {
		from, to := i*len(pictures)/len(hostile), (i+1)*len(pictures)/len(hostile)
		all = append(all, pictures[from:to]...)
		all = append(all, h)
	}
	return all
}
