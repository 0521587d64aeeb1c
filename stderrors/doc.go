// Package stderrors lets errors of more packages of the standard library keep their identity when a
// task returns them, alone or wrapped: [errors.Is] and [errors.As] find them in the parent as they
// do in the worker. Package mp itself takes care of the packages that it imports (see
// [mp.RegisterError]). Import package stderrors for its side effect, in a package that both
// processes use:
//
//	import _ "github.com/go-multiprocessing/mp/stderrors"
//
// Package stderrors imports net/http, database/sql and others, and so adds them to programs that do
// not use them. A program that imports stderrors must not register any of the errors below itself,
// since [mp.RegisterError] would panic.
//
// A wrapped error arrives in the same form as it would alone. If an error's method Timeout returned
// true in the worker, it also returns true in the parent. Addresses in a *net.OpError have the
// types of package net if their text can be parsed, and another type otherwise.
//
// The registered errors are:
//
//	archive/tar       ErrFieldTooLong ErrHeader ErrInsecurePath ErrWriteAfterClose ErrWriteTooLong
//	archive/zip       ErrAlgorithm ErrChecksum ErrFormat ErrInsecurePath
//	compress/bzip2    StructuralError
//	compress/flate    CorruptInputError InternalError
//	compress/gzip     ErrChecksum ErrHeader
//	compress/zlib     ErrChecksum ErrDictionary ErrHeader
//	database/sql      ErrConnDone ErrNoRows ErrTxDone
//	database/sql/driver ErrBadConn ErrRemoveArgument ErrSkip
//	encoding/csv      *ParseError ErrBareQuote ErrFieldCount ErrQuote
//	encoding/xml      *SyntaxError UnmarshalError
//	image             ErrFormat
//	image/jpeg        FormatError UnsupportedError
//	image/png         FormatError UnsupportedError
//	mime              ErrInvalidMediaParameter
//	mime/multipart    ErrMessageTooLarge
//	net               *AddrError *DNSError *OpError *ParseError ErrClosed ErrWriteToConnected InvalidAddrError UnknownNetworkError
//	net/http          *MaxBytesError ErrAbortHandler ErrBodyNotAllowed ErrBodyReadAfterClose ErrContentLength ErrHandlerTimeout ErrHijacked ErrLineTooLong ErrMissingBoundary ErrMissingFile ErrNoCookie ErrNoLocation ErrNotMultipart ErrNotSupported ErrSchemeMismatch ErrServerClosed ErrSkipAltProtocol ErrUseLastResponse
//	net/mail          ErrHeaderNotPresent
//	net/textproto     *Error ProtocolError
//	net/url           *Error EscapeError InvalidHostError
//	os/exec           *Error ErrDot ErrNotFound ErrWaitDelay
//	os/user           UnknownGroupError UnknownGroupIdError UnknownUserError UnknownUserIdError
//	regexp/syntax     *Error
package stderrors
