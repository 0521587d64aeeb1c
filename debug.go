package mp

import (
	"fmt"
	"os"
	"strings"
)

// debugVar is the environment variable that changes how workers run, for those who develop them; see
// the package's documentation.
const debugVar = "MPDEBUG"

// debugging is what it says.
type debugging struct {
	inline     bool // tasks run in this process
	nodeadline bool // nobody is ended for taking his time
	trace      bool // what becomes of workers and tasks is logged
}

// debugMode reads the environment.
func debugMode() (d debugging, err error) {
	for word := range strings.SplitSeq(os.Getenv(debugVar), ",") {
		switch strings.TrimSpace(word) {
		case "":
		case "inline":
			d.inline = true
		case "nodeadline":
			d.nodeadline = true
		case "trace":
			d.trace = true
		default:
			return d, fmt.Errorf("mp: %s has %q: there are inline, nodeadline and trace, with commas between", debugVar, word)
		}
	}
	return d, nil
}
