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

// testingTB is what the recorder is beside its methods.
type testingTB = testing.TB

// programVar is in the environment of the attacked program.
const programVar = "MP_ATTACKS_PROGRAM"

// request asks the attacked program for a row.
type request struct {
	Row  string
	Seed uint64
}

// IsProgram reports whether this process is the attacked program.
func IsProgram() bool { return os.Getenv(programVar) != "" }

// Program is the life of the attacked program: it runs rows as it is asked to on its standard
// input, and says on its standard output what came of them.
func Program() (code int) {
	keepToItself()
	if err := limitFiles(); err != nil {
		fmt.Fprintln(os.Stderr, "no limit of descriptors:", err)
		return 2
	}
	_ = os.Unsetenv("MPTEST_TAG") // NoLeaks would look at all processes all the time; processesLeft does once
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
