package sys

import "os"

// Statm is what /proc/PID/statm tells of a process's memory: numbers of pages of several kinds.
type Statm [7]int64

// ParseStatm reads the content of such a file. It allocates nothing.
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

// Own is how many bytes are in memory that belong to no file and are not shared.
func (s Statm) Own() int64 { return (s[1] - s[2]) * int64(os.Getpagesize()) }

// Data is how many bytes of private memory are mapped that can be written.
func (s Statm) Data() int64 { return s[5] * int64(os.Getpagesize()) }
