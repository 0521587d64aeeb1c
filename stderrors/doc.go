// Package stderrors lets errors of more packages of the standard library keep their identity when a
// task returns them, alone or wrapped: [errors.Is] and [errors.As] find them in the parent as they
// do in the worker. Package mp does that for the packages that it imports itself; see
// [mp.RegisterError]. Import package stderrors for its side effect, in a package that both
// processes use:
//
//	import _ "github.com/go-multiprocessing/mp/stderrors"
//
// It imports net/http, database/sql and others, which a program that does not use them would
// otherwise not contain. A program that imports it must not register any of these errors itself,
// since [mp.RegisterError] would panic.
//
// An error that another error wraps arrives as it would alone. An error whose method Timeout
// returned true still returns true after it has arrived. Addresses in a *net.OpError have the types
// of package net if their text can be parsed, and another type otherwise.
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
