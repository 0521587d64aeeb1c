// The minimal command is a small program that uses mp, as a user's would be:
// nothing is linked into it that would slow the start of its workers. It
// measures on request: a line of standard input is a command with arguments,
// which it answers with a line, "ok" and figures, or "error" and a text.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/go-multiprocessing/mp"
)

var commands = map[string]func(ctx context.Context, args []int) ([]float64, error){
	"start":  start,
	"maps":   maps,
	"hello":  hello,
	"one":    one,
	"crash":  crash,
	"memory": memory,
}

func main() {
	mp.Init()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		figures, err := answer(lines.Text())
		if err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Println("ok", strings.Trim(fmt.Sprint(figures), "[]"))
	}
}

func answer(line string) ([]float64, error) {
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
