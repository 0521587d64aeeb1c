// Package asked is what the small programs have in common: they measure on request. A line of
// standard input is a command with arguments, which is answered with a line, "ok" and figures, or
// "error" and a text.
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

// Serve answers until there are no more lines.
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
