//go:build linux

package attacks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// testingTB is embedded in a recorder to make it a testing.TB.
type testingTB = testing.TB

// programVar is an environment variable that marks the attacked program.
const programVar = "MP_ATTACKS_PROGRAM"

// A request asks the attacked program to run a row.
type request struct {
	Row  string
	Seed uint64
}

// IsProgram reports whether this process is the attacked program.
func IsProgram() bool { return os.Getenv(programVar) != "" }

// Program is the main function of the attacked program. It reads requests from its standard input,
// runs their rows, and writes verdicts to its standard output.
func Program() (code int) {
	keepToItself()
	if err := limitFiles(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot limit descriptors:", err)
		return 2
	}
	// NoLeaks would look at all processes repeatedly; processesLeft looks once.
	_ = os.Unsetenv("MPTEST_TAG")
	in := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, "a request that is none:", err)
			return 2
		}
		v := runRow(r.Row, r.Seed)
		slices.Sort(v.Faults)
		v.Faults = slices.Compact(v.Faults)
		if err := out.Encode(v); err != nil || v.Hung {
			return 1
		}
	}

	return 0
}
