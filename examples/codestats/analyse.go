package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"

	"github.com/go-multiprocessing/mp"
)

var analyse = mp.Register("analyse", analyseTask)

// FileStats is the result of analyzing one file. Workers send it back, so it contains only the
// functions that can matter for the report.
type FileStats struct {
	Unreadable bool // nothing else is known of the file
	Unparsable bool // only the number of lines is known
	Lines      int
	Functions  int // declared functions; a function literal counts as part of the function around it
	Complexity int // of all functions together

	Longest     []Function
	MostComplex []Function

	Worker int // the worker that analyzed the file; 0 if no worker did
}

// Function is one function declaration.
type Function struct {
	File       string // set by the parent process when it sums up the files, so that workers need not send it
	Name       string // Name, T.Name or (*T).Name
	Line       int    // the line on which it begins
	Lines      int
	Complexity int
}

// analyseTask is the task that analyzes a file in a worker.
func analyseTask(ctx context.Context, path string) (FileStats, error) {
	stats := analyseFile(path)
	if task, ok := mp.CurrentTask(ctx); ok {
		stats.Worker = task.Worker
	}
	return stats, nil
}

// analyseFile analyzes a file. It never fails: a file that has vanished or is not valid Go is a
// finding, which must not end the run.
func analyseFile(path string) FileStats {
	src, err := os.ReadFile(path)
	if err != nil {
		return FileStats{Unreadable: true}
	}

	stats := FileStats{Lines: countLines(src)}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		stats.Unparsable = true
		return stats
	}
	functions := declaredFunctions(fset, file)
	stats.Functions = len(functions)
	for _, f := range functions {
		stats.Complexity += f.Complexity
	}

	stats.Longest = first(functions, byLength)
	stats.MostComplex = first(functions, byComplexity)
	return stats
}

// countLines counts the lines of a file. A last line without a line break counts too.
func countLines(src []byte) int {
	n := bytes.Count(src, []byte("\n"))
	if len(src) > 0 && src[len(src)-1] != '\n' {
		n++
	}
	return n
}

// declaredFunctions describes the functions and methods of a file, including those without a body.
func declaredFunctions(fset *token.FileSet, file *ast.File) []Function {
	var functions []Function
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}

		// Generated files may contain //line comments. Only the unadjusted line numbers refer to
		// this file.
		begin := fset.PositionFor(f.Pos(), false).Line
		end := fset.PositionFor(f.End(), false).Line
		functions = append(functions, Function{
			Name:       functionName(f),
			Line:       begin,
			Lines:      end - begin + 1,
			Complexity: complexity(f),
		})
	}

	return functions
}

// complexity returns McCabe's complexity: one, plus one for each branch. The default of a switch or
// select is not an additional branch.
func complexity(f *ast.FuncDecl) int {
	n := 1
	ast.Inspect(f, func(node ast.Node) bool {
		if branches(node) {
			n++
		}
		return true
	})
	return n
}

func branches(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
		return true
	case *ast.CaseClause:
		return node.List != nil
	case *ast.CommClause:
		return node.Comm != nil
	case *ast.BinaryExpr:
		return node.Op == token.LAND || node.Op == token.LOR
	}
	return false
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	return receiverName(f.Recv.List[0].Type) + "." + f.Name.Name
}

// receiverName returns the name of a receiver's type without type parameters.
func receiverName(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.Ident:
		return expr.Name
	case *ast.StarExpr:
		return "(*" + receiverName(expr.X) + ")"
	case *ast.ParenExpr:
		return receiverName(expr.X)
	case *ast.IndexExpr:
		return receiverName(expr.X)
	case *ast.IndexListExpr:
		return receiverName(expr.X)
	}
	return "?" // it parses, but is not a receiver
}
