package sys

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

var errNoParent = errors.New("the process has ended, or is not visible in /proc")

// IsPidfd reports whether a descriptor refers to a process. It does not use the descriptor, which
// may refer to a file that blocks.
func IsPidfd(fd int) bool {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return err == nil && (name == "anon_inode:[pidfd]" || strings.HasPrefix(name, "pidfd:["))
}

// NumberOf returns the ID in /proc of the process of a pidfd. It returns an error if the process
// has been reaped.
func NumberOf(pidfd int) (int, error) {
	if !IsPidfd(pidfd) {
		return 0, errNoParent
	}
	numbers, err := Numbers(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	if err != nil || len(numbers) == 0 || numbers[0] <= 0 {
		return 0, errors.Join(errNoParent, err)
	}
	return numbers[0], nil
}

// Descends returns the ID in /proc of the process of a pidfd if it is a child or a grandchild of
// the process with the ID from. A worker can be a grandchild, because there may be a keeper in
// between.
func Descends(pidfd, from int) (number int, err error) {
	number, err = NumberOf(pidfd)
	if err != nil {
		return 0, err
	}
	parent, err := parentOf(number)
	if err != nil {
		return 0, err
	}
	if parent != from {
		if parent, err = parentOf(parent); err != nil {
			return 0, err
		}
	}
	if parent != from {
		return 0, fmt.Errorf("process %d is not a child of process %d", number, from)
	}

	// Another process may have the ID by now.
	if now, err := NumberOf(pidfd); err != nil || now != number {
		return 0, errNoParent
	}
	return number, nil
}

// parentOf returns the ID of a process's parent. Both processes are given by their IDs in /proc.
func parentOf(number int) (int, error) {
	fields, err := statOf(number)
	if err != nil {
		return 0, err
	}
	if len(fields) < 2 {
		return 0, errNoParent
	}
	return strconv.Atoi(fields[1])
}

// statOf returns the fields of /proc/PID/stat, beginning with the state. The program's name, which
// comes before the state, may contain any characters.
func statOf(number int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", number))
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])), nil
}
