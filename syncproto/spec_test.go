package syncproto

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestSpecNamesConstants keeps SPEC.md complete: every exported constant of
// the wire occurs in it with its value.
func TestSpecNamesConstants(t *testing.T) {
	text, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := strings.Join(strings.Fields(string(text)), " ")
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "const.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	conf := types.Config{Importer: importer.Default()}
	pkg, err := conf.Check("syncproto", fset, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(spec, strconv.Quote(magic)) {
		t.Error("SPEC.md does not say what the magic is")
	}
	names := 0
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || !c.Exported() {
			continue
		}
		names++
		value := c.Val().ExactString()
		row, assigned := "`"+name+"` | `"+value+"`", "`"+name+"` = `"+value+"`"
		if !strings.Contains(spec, row) && !strings.Contains(spec, assigned) {
			t.Errorf("SPEC.md does not say that %s is %s", name, value)
		}
	}
	if names < 50 {
		t.Errorf("only %d constants found", names)
	}
}

// TestConstants pins every number on the wire.
func TestConstants(t *testing.T) {
	numbers := []struct{ got, want int }{
		{Version, 1},
		{MaxPayload, 1 << 20}, {MaxPath, 32 << 10}, {MaxName, 255}, {MaxTarget, 4096}, {MaxText, 4096},
		{MaxBuild, 255}, {MaxIgnore, 512 << 10}, {MaxItems, 16384}, {MaxEntries, 4 << 20},
		{MaxInline, 256 << 10}, {MaxPiece, 256 << 10}, {MaxChunks, 4096}, {WindowBatches, 16}, {WindowRequests, 256},
		{int(TypeOpen), 1}, {int(TypeOpened), 2}, {int(TypeReport), 3}, {int(TypeBatch), 4}, {int(TypeAck), 5},
		{int(TypeRequest), 6}, {int(TypeData), 7}, {int(TypeIgnore), 8}, {int(TypeNotice), 9}, {int(TypeStop), 10},
		{int(TypeFlush), 11}, {int(TypeFlushed), 12}, {int(TypeChunks), 13}, {int(TypeChunkList), 14},
		{ChunkMin, 64 << 10}, {ChunkMax, 512 << 10},
		{FlagZstd, 1}, {OpenedSame, 1}, {OpenedNoModes, 2}, {OpenedFoldCase, 4}, {ReportFull, 1}, {ReportMore, 2},
		{int(TypeTrash), 15}, {int(TypeTrashList), 16}, {int(TypeUndo), 17}, {int(TypeUndone), 18},
		{MaxTrashBatches, 1024}, {MaxTrashPaths, 3}, {MaxFailures, 256}, {UndoAbsent, 1},
		{int(WhyDeleted), 1}, {int(WhyOverwritten), 2}, {int(WhyFirst), 4}, {int(WhyConflict), 8}, {int(WhyUndone), 16},
		{int(EntryAbsent), 0}, {int(EntryFile), 1}, {int(EntryDir), 2}, {int(EntrySymlink), 3},
		{int(OpPut), 1}, {int(OpDelete), 2}, {int(OpMkdir), 3}, {int(OpSymlink), 4}, {int(OpChmod), 5},
		{ChangeInline, 1}, {ChangeKeep, 2}, {ChangeFirst, 4},
		{int(CodeOK), 0}, {int(CodeChanged), 1}, {int(CodeContent), 2}, {int(CodeNotEmpty), 3}, {int(CodeDiskFull), 4},
		{int(CodeReadOnly), 5}, {int(CodeDenied), 6}, {int(CodeInvalid), 7}, {int(CodeIgnored), 8}, {int(CodeFailed), 9},
		{int(NoticeSkipped), 1}, {int(NoticeWarning), 2}, {int(NoticeStopped), 3}, {int(NoticeResumed), 4},
		{int(StopProtocol), 1}, {int(StopRoot), 2}, {int(StopReplaced), 3}, {int(StopFailed), 4}, {int(StopClosed), 5},
	}
	for i, n := range numbers {
		if n.got != n.want {
			t.Errorf("constant %d of the list is %d, not %d", i, n.got, n.want)
		}
	}
	if magic != "\x89OKS\r\n\x1a\n" || TempPrefix != ".okteto-tmp-" || IgnoreFile != ".stignore" {
		t.Error("a name on the wire has changed")
	}
}
