package main

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed peer.py
var pythonScript []byte

// onPython returns an opener for a side that Python measures. One process serves all rounds. setup
// is the first command that the process gets, or "" for none.
func onPython(setup string, round func(b *bench, python *helper) (float64, error)) opener {
	return func(ctx context.Context, b *bench) (side, error) {
		python, err := exec.LookPath("python3")
		if err != nil {
			return side{}, missing{"python3 is not there"}
		}
		script := filepath.Join(b.dir, "peer.py") // a file, since processes that Python spawns import it
		if err := os.WriteFile(script, pythonScript, 0o600); err != nil {
			return side{}, err
		}
		h, err := startHelper(ctx, python, script)
		if err != nil {
			return side{}, missing{"python3 cannot be started: " + err.Error()}
		}

		if setup != "" {
			if _, err := h.ask("%s", setup); err != nil {
				h.close()
				return side{}, err
			}
		}

		return side{round: func() (float64, error) { return round(b, h) }, close: h.close}, nil
	}
}

// pythonPool is the setup for all rows except the ones that measure starts.
const pythonPool = "pool"
