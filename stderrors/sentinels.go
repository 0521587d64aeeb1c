package stderrors

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"compress/zlib"
	"database/sql"
	"database/sql/driver"
	"encoding/csv"
	"image"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/mail"
	"os/exec"

	"github.com/go-multiprocessing/mp/internal/errtree"
)

// sentinels holds the errors that are compared by identity, keyed by package and name.
var sentinels = map[string]error{
	"archive/tar.ErrFieldTooLong": tar.ErrFieldTooLong, "archive/tar.ErrHeader": tar.ErrHeader, "archive/tar.ErrInsecurePath": tar.ErrInsecurePath,
	"archive/tar.ErrWriteAfterClose": tar.ErrWriteAfterClose, "archive/tar.ErrWriteTooLong": tar.ErrWriteTooLong,
	"archive/zip.ErrAlgorithm": zip.ErrAlgorithm, "archive/zip.ErrChecksum": zip.ErrChecksum, "archive/zip.ErrFormat": zip.ErrFormat,
	"archive/zip.ErrInsecurePath": zip.ErrInsecurePath,
	"compress/gzip.ErrChecksum":   gzip.ErrChecksum, "compress/gzip.ErrHeader": gzip.ErrHeader,
	"compress/zlib.ErrChecksum": zlib.ErrChecksum, "compress/zlib.ErrDictionary": zlib.ErrDictionary, "compress/zlib.ErrHeader": zlib.ErrHeader,
	"database/sql.ErrConnDone": sql.ErrConnDone, "database/sql.ErrNoRows": sql.ErrNoRows, "database/sql.ErrTxDone": sql.ErrTxDone,
	"database/sql/driver.ErrBadConn": driver.ErrBadConn, "database/sql/driver.ErrRemoveArgument": driver.ErrRemoveArgument,
	"database/sql/driver.ErrSkip": driver.ErrSkip,
	"encoding/csv.ErrBareQuote":   csv.ErrBareQuote, "encoding/csv.ErrFieldCount": csv.ErrFieldCount, "encoding/csv.ErrQuote": csv.ErrQuote,
	"image.ErrFormat":                   image.ErrFormat,
	"mime.ErrInvalidMediaParameter":     mime.ErrInvalidMediaParameter,
	"mime/multipart.ErrMessageTooLarge": multipart.ErrMessageTooLarge,
	"net.ErrClosed":                     net.ErrClosed, "net.ErrWriteToConnected": net.ErrWriteToConnected,
	"net/http.ErrAbortHandler": http.ErrAbortHandler, "net/http.ErrBodyNotAllowed": http.ErrBodyNotAllowed,
	"net/http.ErrBodyReadAfterClose": http.ErrBodyReadAfterClose, "net/http.ErrContentLength": http.ErrContentLength,
	"net/http.ErrHandlerTimeout": http.ErrHandlerTimeout, "net/http.ErrHijacked": http.ErrHijacked, "net/http.ErrLineTooLong": http.ErrLineTooLong,
	"net/http.ErrMissingBoundary": http.ErrMissingBoundary, "net/http.ErrMissingFile": http.ErrMissingFile, "net/http.ErrNoCookie": http.ErrNoCookie,
	"net/http.ErrNoLocation": http.ErrNoLocation, "net/http.ErrNotMultipart": http.ErrNotMultipart, "net/http.ErrNotSupported": http.ErrNotSupported,
	"net/http.ErrSchemeMismatch": http.ErrSchemeMismatch, "net/http.ErrServerClosed": http.ErrServerClosed,
	"net/http.ErrSkipAltProtocol": http.ErrSkipAltProtocol, "net/http.ErrUseLastResponse": http.ErrUseLastResponse,
	"net/mail.ErrHeaderNotPresent": mail.ErrHeaderNotPresent,
	"os/exec.ErrDot":               exec.ErrDot, "os/exec.ErrNotFound": exec.ErrNotFound, "os/exec.ErrWaitDelay": exec.ErrWaitDelay,
}

func init() {
	for name, err := range sentinels {
		_ = errtree.RegisterSentinel(name, err) // fails if the program has registered err
	}
}
