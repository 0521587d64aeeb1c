package spawn

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Lists of processes show the title of a process. Its command line begins with the program's name,
// a colon and the title, as in "prog: worker-1". Its short name is set to the program's, because it
// would otherwise be "exe", even in the kernel's log: the process is started as /proc/self/exe. The
// package's initialization removes the title from os.Args. Packages that are initialized earlier,
// such as flag, still see the title.
const titleVar = "MP_PROCESS_TITLE"

// maxTitle is the maximum length of a title.
const maxTitle = 200

// titled returns args with the title added. It also returns the variable that tells the process
// which title to remove.
func titled(args []string, title string) (with, vars []string) {
	if title == "" || len(args) == 0 {
		return args, nil
	}
	return append([]string{args[0] + suffix(title)}, args[1:]...), []string{titleVar + "=" + title}
}

func suffix(title string) string { return ": " + title }

// printable replaces characters in a title that cannot be shown, and shortens the title.
func printable(title string) string {
	title = strings.Map(func(r rune) rune {
		switch {
		case !unicode.IsPrint(r):
			return '?'
		case r == '/': // the text before it would not count as the program's directory
			return '_'
		}
		return r
	}, title)
	return strings.ToValidUTF8(title[:min(len(title), maxTitle)], "")
}

// takeTitle runs in the started process. It reverses what titled did, and sets the short name.
func takeTitle() {
	title := os.Getenv(titleVar)
	_ = os.Unsetenv(titleVar)
	if len(os.Args) == 0 {
		return
	}
	if title != "" {
		os.Args[0] = strings.TrimSuffix(os.Args[0], suffix(title))
	}
	setName(filepath.Base(os.Args[0]))
}

// setName sets the short name of this process. It ignores errors.
func setName(name string) {
	if comm, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0); err == nil {
		_, _ = comm.WriteString(name)
		_ = comm.Close()
	}
}

// Guards and keepers have their own names, so that a signal to all processes with the program's
// name, as sent by killall, does not reach them: they must end the processes that such a signal
// leaves behind. So neither their short names nor the beginnings of their command lines contain the
// program's name.
const (
	guardName  = "mp: guard"
	keeperName = "mp: keeper"
)

// keeperOf returns the command line of the keeper of a process with the given title and command
// line.
func keeperOf(title string, args []string) []string {
	name := keeperName
	if title != "" {
		name += " of " + title
	}
	return append([]string{name}, args...)
}
