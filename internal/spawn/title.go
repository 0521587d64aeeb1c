package spawn

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// A process is named in lists of processes: its command line begins with the program's, a colon and
// its title, "prog: worker-1", and its short name is the program's. Without that, as it is started
// as /proc/self/exe, the latter would be "exe", in the kernel's log too. The package's init takes the
// title out of os.Args again; what is initialised before it, package flag for instance, has seen it.
const titleVar = "MP_PROCESS_TITLE"

// maxTitle is how long a title is at most.
const maxTitle = 200

// titled returns the arguments with a printable title, and the variable by which the process knows
// what to take out.
func titled(args []string, title string) (with, vars []string) {
	if title == "" || len(args) == 0 {
		return args, nil
	}
	return append([]string{args[0] + suffix(title)}, args[1:]...), []string{titleVar + "=" + title}
}

func suffix(title string) string { return ": " + title }

// printable is a title of which each character can be shown.
func printable(title string) string {
	title = strings.Map(func(r rune) rune {
		switch {
		case !unicode.IsPrint(r):
			return '?'
		case r == '/': // what comes before it would not be taken for the program's directory
			return '_'
		}
		return r
	}, title)
	return strings.ToValidUTF8(title[:min(len(title), maxTitle)], "")
}

// takeTitle undoes titled, in the process, and gives it its short name.
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

// setName gives this process its short name. Where there is no such file, there is nothing to be
// done.
func setName(name string) {
	if comm, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0); err == nil {
		_, _ = comm.WriteString(name)
		_ = comm.Close()
	}
}

// A guard and keepers have names of their own, so that a signal to all processes of the program's
// name, as killall sends it, does not reach them: they end what those leave behind. So the
// beginning of their command line and their short name do not have the program's in them.
const (
	guardName  = "mp: guard"
	keeperName = "mp: keeper"
)

// keeperOf is the command line of the keeper of a process that has a title and a command line.
func keeperOf(title string, args []string) []string {
	name := keeperName
	if title != "" {
		name += " of " + title
	}
	return append([]string{name}, args...)
}
