package errtree

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The table in the documentation of mp.RegisterError names exactly the errors that keep their
// identity.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("../../register.go")
	if err != nil {
		t.Fatal(err)
	}

	_, table, _ := strings.Cut(string(text), "need no registering:\n//\n")
	table, _, _ = strings.Cut(table, "\n//\n")
	var told, is []string
	for line := range strings.Lines(table) {
		words := strings.Fields(strings.TrimPrefix(line, "//\t"))
		for _, name := range words[1:] {
			told = append(told, words[0]+"."+name)
		}
	}

	aliases := strings.NewReplacer("fs.", "io/fs.")
	own := newSentinels() // without the registrations of tests
	for name := range own.errs {
		if strings.HasPrefix(name, "fs.") {
			name = aliases.Replace(name)
		}
		is = append(is, name)
	}

	for typ := range newTypes().byType {
		name := typ.String()
		pointer := ""
		if strings.HasPrefix(name, "*") {
			typ, pointer = typ.Elem(), "*"
		}
		is = append(is, typ.PkgPath()+"."+pointer+typ.Name())
	}
	slices.Sort(told)
	slices.Sort(is)
	if !slices.Equal(told, is) {
		t.Errorf("told of:\n%v\nthere are:\n%v", told, is)
	}
}

func TestStandardValues(t *testing.T) {
	_, badTime := time.Parse(time.RFC3339, "tomorrow")
	_, badInt := strconv.Atoi("x")

	//lint:ignore SA1030 the wrong base is wanted
	_, badBase := strconv.ParseInt("1", 99, 64)
	_, badHex := hex.DecodeString("xy")
	_, bad64 := base64.StdEncoding.DecodeString("?")
	badJSON := json.Unmarshal([]byte("{x"), new(any))
	for _, want := range []error{badTime, badInt, badBase, badHex, bad64, badJSON} {
		got := Decode(Append(nil, fmt.Errorf("outer: %w", want)))
		if got.Error() != "outer: "+want.Error() {
			t.Errorf("%v arrived as %v", want, got)
		}
		if alone := Decode(Append(nil, want)); alone.Error() != want.Error() {
			t.Errorf("alone, %v arrived as %v", want, alone)
		}
	}

	decoded := func(err error) error { return Decode(Append(nil, fmt.Errorf("outer: %w", err))) }
	var (
		parse  *time.ParseError
		num    *strconv.NumError
		octet  hex.InvalidByteError
		octets base64.CorruptInputError
		syntax *json.SyntaxError
	)
	if !errors.As(decoded(badTime), &parse) || parse.Value != "tomorrow" || parse.Error() != badTime.Error() {
		t.Errorf("%#v", parse)
	}

	if !errors.As(decoded(badInt), &num) || num.Num != "x" || !errors.Is(num, strconv.ErrSyntax) {
		t.Errorf("%#v", num)
	}
	if !errors.As(decoded(badBase), &num) || num.Num != "1" || num.Error() != badBase.Error() {
		t.Errorf("%#v", num)
	}

	if !errors.As(decoded(badHex), &octet) || octet != 'x' {
		t.Errorf("%#v", octet)
	}
	if !errors.As(decoded(bad64), &octets) || octets.Error() != bad64.Error() {
		t.Errorf("%#v", octets)
	}
	if !errors.As(decoded(badJSON), &syntax) || syntax.Offset != 2 || syntax.Error() != badJSON.Error() {
		t.Errorf("%#v", syntax)
	}
}
