package mp_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The root does not import heavy packages, which every worker would initialize.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "os") {
		t.Fatalf("these are not its imports: %q", deps)
	}
	for _, heavy := range []string{"net", "net/http", "crypto/tls", "runtime/pprof", "expvar", "html/template"} {
		if slices.Contains(deps, heavy) {
			t.Errorf("the package imports %s", heavy)
		}
	}
}
