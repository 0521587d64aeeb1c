package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/go-multiprocessing/mp/examples/internal/tree"
)

// A job is a set of files in a directory.
type job struct {
	dir   string
	names []string // relative to dir, with slashes
}

func (j job) path(i int) string { return filepath.Join(j.dir, filepath.FromSlash(j.names[i])) }

// A fileInfo is the final information about a file. It is comparable.
type fileInfo struct {
	Problem   string // why the other fields are empty; usually ""
	Size      int
	CRC       uint32 // of the text
	PackedCRC uint32
	Packed    int // the compressed size
}

// An index maps a word to the numbers of the files that contain it.
type index map[string][]int

// add adds the words of a text, unless the text is binary.
func (x index) add(file int, text []byte) {
	if !utf8.Valid(text) {
		return
	}
	between := func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	seen := map[string]bool{}
	for word := range bytes.FieldsFuncSeq(text, between) {
		if !seen[string(word)] {
			w := string(word)
			seen[w] = true
			x[w] = append(x[w], file)
		}
	}
}

// A result is the result of a job.
type result struct {
	files []fileInfo
	words index // the files of each word are in order
}

// equal returns an error that shows the first difference between two results, or nil if there is no
// difference.
func (r result) equal(other result) error {
	for i, f := range r.files {
		if f != other.files[i] {
			return fmt.Errorf("file %d differs (did it change meanwhile?): %+v and %+v", i, f, other.files[i])
		}
	}
	if !maps.EqualFunc(r.words, other.words, slices.Equal) {
		return errors.New("the indexes differ")
	}
	return nil
}

// A packer compresses one text after another, reusing its memory.
type packer struct {
	out   bytes.Buffer
	flate *flate.Writer
}

func newPacker() *packer {
	p := &packer{}
	p.flate, _ = flate.NewWriter(&p.out, flate.BestCompression) // the level is valid
	return p
}

// pack compresses a text. The result is valid until the next call.
func (p *packer) pack(text []byte) ([]byte, fileInfo, error) {
	p.out.Reset()
	p.flate.Reset(&p.out)
	if _, err := p.flate.Write(text); err != nil {
		return nil, fileInfo{}, err
	}
	if err := p.flate.Close(); err != nil {
		return nil, fileInfo{}, err
	}
	packed := p.out.Bytes()
	return packed, fileInfo{
		Size: len(text), CRC: crc32.ChecksumIEEE(text),
		Packed: len(packed), PackedCRC: crc32.ChecksumIEEE(packed),
	}, nil
}

// addTo adds a compressed file to an archive.
func (f fileInfo) addTo(archive *zip.Writer, name string, packed []byte) error {
	w, err := archive.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Deflate, CRC32: f.CRC,
		UncompressedSize64: uint64(f.Size), CompressedSize64: uint64(f.Packed),
	})
	if err != nil {
		return err
	}
	_, err = w.Write(packed)
	return err
}

// inOneProcess does a job without workers.
func inOneProcess(ctx context.Context, j job, to io.Writer) (result, error) {
	r := result{files: make([]fileInfo, len(j.names)), words: index{}}
	archive := zip.NewWriter(to)
	p := newPacker()
	for i, name := range j.names {
		if err := context.Cause(ctx); err != nil {
			return r, err
		}

		text, err := os.ReadFile(j.path(i))
		if err != nil {
			r.files[i].Problem = tree.Reason(err).Error()
			continue
		}
		packed, info, err := p.pack(text)
		if err == nil {
			r.files[i] = info
			err = info.addTo(archive, name, packed)
		}
		if err != nil {
			return r, err
		}
		r.words.add(i, text)
	}

	return r, archive.Close()
}
