package sys

import "os"

// Statm holds the fields of /proc/PID/statm, which count a process's pages of several kinds.
type Statm [7]int64

// ParseStatm parses the content of /proc/PID/statm. It does not allocate.
func ParseStatm(line []byte) (s Statm) {
	i := 0
	for _, b := range line {
		switch {
		case b >= '0' && b <= '9':
			s[i] = 10*s[i] + int64(b-'0')
		case b == ' ' && i < len(s)-1:
			i++
		}
	}
	return s
}

// Own returns how many bytes of resident memory are neither shared nor part of a file.
func (s Statm) Own() int64 { return (s[1] - s[2]) * int64(os.Getpagesize()) }

// Data returns how many bytes of private writable memory are mapped.
func (s Statm) Data() int64 { return s[5] * int64(os.Getpagesize()) }
