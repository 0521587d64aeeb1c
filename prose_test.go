package mp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// phrases are constructions that a reader has to read twice, and what to write in their place. Each
// is matched against whole paragraphs, so that a line break does not hide it.
var phrases = []struct {
	bad     *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?:^|[.!?:;] )Who(?:ever)? (?:[b-hj-z]|a[^r]|i[^s]|are\w|is\w)\w* [^?]*[.]`), "name the subject: A process that …"},
	{regexp.MustCompile(`(?:^|[.!?] )What (?:is|was|has|had|an?|the|they|it|others|cannot|can|does|did|nobody|left|came|takes|leaves) [^?]*[.]`), "name the thing"},
	{regexp.MustCompile(`(?:^|[.!?] )Whose `), "name the subject"},
	{regexp.MustCompile(`\bthat of (?:ctx|the context)\b`), "ctx's error"},
	{regexp.MustCompile(`\bbelongs? into\b`), "belongs in"},
	{regexp.MustCompile(`\b[Aa]s a rule\b`), "usually"},
	{regexp.MustCompile(`\band none has\b`), "and there is no … that has"},
	{regexp.MustCompile(`\bhas (?:it|them|f|its \w+) (?:called|made|done|run|closed|killed|sent)\b`), "say who does it"},
	{regexp.MustCompile(`\bnobody\b[^.]*\bany more\b`), "no longer"},
	{regexp.MustCompile(`\bis to be \w+ed\b`), "must be …"},
	{regexp.MustCompile(`\b(?:for|to) who(?:ever)?\b`), "for callers that …"},
	{regexp.MustCompile(`\bin vain\b|\b[Mm]oreover\b|\bhereby\b|\bthereof\b|\bhowever it does\b`), "plain words"},
	{regexp.MustCompile(`\bcomes? to an end\b|\bis at its end\b`), "ends"},
	{regexp.MustCompile(`\b(?:so|as) (?:does|do|is|are|has) it[.,;]`), "turn the sentence round"},
}

// Comments and documents have none of the phrases that editors removed from them.
func TestProse(t *testing.T) {
	read := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == "tree" || len(name) > 1 && name[0] == '.' {
				return fs.SkipDir
			}
			return nil
		}

		for _, text := range paragraphs(t, path) {
			read++
			for _, p := range phrases {
				if found := p.bad.FindString(text); found != "" {
					t.Errorf("%s: %q: %s", path, found, p.instead)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 5000 {
		t.Errorf("read only %d paragraphs", read)
	}
}

func TestProseFindsPhrases(t *testing.T) {
	for _, text := range []string{
		"Who has a Slab last must close it.", "It waits. Whoever comes first gets it.", "What is never closed stays.",
		"Whose lock it is must free it.", "The error is that of ctx.", "It belongs into an init function.", "As a rule it waits.",
		"All wait, and none has the lock.", "The caller has f called.", "If nobody reads it any more, it goes.",
		"It is to be closed.", "A lock for who needs it.", "It tries in vain.", "It comes to an end.", "It waits, and so does it.",
	} {
		if !matches(text) {
			t.Errorf("%q passes", text)
		}
	}
	for _, text := range []string{"Who is the owner?", "What does a task cost?", "A process that has a Slab must close it."} {
		if matches(text) {
			t.Errorf("%q does not pass", text)
		}
	}
}

func matches(text string) bool {
	for _, p := range phrases {
		if p.bad.MatchString(text) {
			return true
		}
	}
	return false
}

// A line of a comment has at most 100 columns, of which a tab takes four.
func TestCommentsAreWrapped(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "tree":
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}

		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		output := false // of an example
		for i, line := range strings.Split(string(text), "\n") {
			line = strings.ReplaceAll(line, "\t", "    ")
			comment, ok := strings.CutPrefix(strings.TrimSpace(line), "// ")
			output = ok && (output || strings.HasPrefix(comment, "Output:") || strings.HasPrefix(comment, "Unordered output:"))
			if ok && !output && len([]rune(line)) > 100 && comment[0] != ' ' && !strings.Contains(comment, "://") {
				t.Errorf("%s:%d has %d columns", path, i+1, len([]rune(line)))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// paragraphs returns the paragraphs of a document, or of a Go file's comments, each on one line.
func paragraphs(t *testing.T, path string) []string {
	switch {
	case path == "prose_test.go":
		return nil
	case strings.HasSuffix(path, ".md"):
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return joined(fenced.ReplaceAllString(string(text), ""))
	case !strings.HasSuffix(path, ".go"):
		return nil
	}

	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, group := range file.Comments {
		if !ast.IsGenerated(file) {
			all = append(all, joined(group.Text())...)
		}
	}
	return all
}

var fenced = regexp.MustCompile("(?s)```.*?```")

// joined splits a text at empty lines and joins the lines between them.
func joined(text string) []string {
	var all []string
	for _, paragraph := range strings.Split(text, "\n\n") {
		all = append(all, strings.Join(strings.Fields(paragraph), " "))
	}
	return all
}
