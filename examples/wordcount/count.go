package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// A result is the result for a tree.
type result struct {
	Files      int
	Copies     int // of texts that were already counted
	Unreadable int
	Words      map[string]int
}

func (r *result) add(other result) {
	r.Files += other.Files
	r.Copies += other.Copies
	r.Unreadable += other.Unreadable
}

func (r result) equal(other result) error {
	if r.Files != other.Files || r.Copies != other.Copies || r.Unreadable != other.Unreadable {
		return fmt.Errorf("%d files, %d copies, %d unreadable in the place of %d, %d, %d", r.Files, r.Copies, r.Unreadable, other.Files, other.Copies, other.Unreadable)
	}
	if !maps.Equal(r.Words, other.Words) {
		return fmt.Errorf("the counts of %d words differ from those of %d", len(r.Words), len(other.Words))
	}
	return nil
}

// digest identifies a text.
type digest [sha256.Size]byte

// visit counts the words in those Go files of a directory that are fresh, and also returns the
// directory's subdirectories. It does not follow links.
func visit(dir string, fresh func(digest) (bool, error)) (found result, below []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return result{Unreadable: 1}, nil, nil
	}

	found.Words = map[string]int{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			below = append(below, path)
		case e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".go"):
			if err := found.count(path, fresh); err != nil {
				return result{}, nil, err
			}
		}
	}

	return found, below, nil
}

func (r *result) count(path string, fresh func(digest) (bool, error)) error {
	text, err := os.ReadFile(path)
	if err != nil {
		r.Unreadable++
		return nil
	}

	isFresh, err := fresh(sha256.Sum256(text))
	if err != nil {
		return err
	}
	r.Files++
	if !isFresh {
		r.Copies++
		return nil
	}
	notInWord := func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) }
	for word := range strings.FieldsFuncSeq(string(text), notInWord) {
		r.Words[strings.Clone(word)]++
	}

	return nil
}
