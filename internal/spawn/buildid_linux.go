package spawn

import (
	"bytes"
	"encoding/binary"
	"os"
)

// BuildID returns the Go build ID of the running program, or "" if the program has none. It reads
// the note that Go's linker puts at the beginning of the executable.
func BuildID() string {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer f.Close()
	page := make([]byte, 8192)
	n, _ := f.Read(page)
	return buildIDNote(page[:n])
}

// buildIDNote finds the note {namesz 4, descsz, type 4, "Go\0\0", desc}.
func buildIDNote(page []byte) string {
	const head = 16
	tag := []byte("\x04\x00\x00\x00Go\x00\x00")
	for at := 0; ; {
		i := bytes.Index(page[at:], tag)
		if i < 0 {
			return ""
		}

		at += i
		if at >= 8 {
			nameLen, n := binary.LittleEndian.Uint32(page[at-8:]), int(binary.LittleEndian.Uint32(page[at-4:]))
			desc := page[at-8+head:]
			if nameLen == 4 && n > 0 && n <= len(desc) {
				return string(desc[:n])
			}
		}
		at += len(tag)
	}
}
