package sys

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

var errNoParent = errors.New("a process that has ended, or is not to be seen in /proc")

// IsPidfd reports whether a descriptor stands for a process. It does not touch the file, which
// may be one that blocks.
func IsPidfd(fd int) bool {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return err == nil && (name == "anon_inode:[pidfd]" || strings.HasPrefix(name, "pidfd:["))
}

// NumberOf is the number in /proc of the process of a pidfd, which has not been reaped.
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

// Descends returns the number in /proc of the process of a pidfd if it is a child of the process with
// the given number, or of a child of that: between a process and its worker there may be a keeper.
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
		return 0, fmt.Errorf("process %d is no child of process %d", number, from)
	}

	if now, err := NumberOf(pidfd); err != nil || now != number { // another may have its number by now
		return 0, errNoParent
	}
	return number, nil
}

// parentOf is the number of a process's parent, both those of /proc.
func parentOf(number int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", number))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ") // a name may have anything in it
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0, errNoParent
	}
	return strconv.Atoi(fields[1])
}
