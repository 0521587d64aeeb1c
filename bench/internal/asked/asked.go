// Package asked is the common part of the small programs, which measure on request. A request is a
// line of standard input with a command and its arguments. The answer is a line with "ok" and
// figures, or with "error" and a text.
package asked

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A Command measures something.
type Command func(ctx context.Context, args []int) ([]float64, error)

// Serve answers requests until the input ends.
func Serve(commands map[string]Command) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		figures, err := answer(commands, lines.Text())
		if err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Println("ok", strings.Trim(fmt.Sprint(figures), "[]"))
	}
}

func answer(commands map[string]Command, line string) ([]float64, error) {
	words := strings.Fields(line)
	if len(words) == 0 || commands[words[0]] == nil {
		return nil, fmt.Errorf("no such command: %q", line)
	}
	var args []int
	for _, w := range words[1:] {
		n, err := strconv.Atoi(w)
		if err != nil {
			return nil, err
		}
		args = append(args, n)
	}
	return commands[words[0]](context.Background(), args)
}
