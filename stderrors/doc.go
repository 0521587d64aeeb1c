// Package stderrors lets errors of more packages of the standard library arrive as themselves where a
// task returns them, alone or wrapped: [errors.Is] and [errors.As] find them in the parent as they do in
// the worker. Package mp does that for the packages that it imports itself; see [mp.RegisterError]. Import
// this one for its effect, in a package that both processes have:
//
//	import _ "github.com/go-multiprocessing/mp/stderrors"
//
// It imports net/http, database/sql and others, which a program that does not use them would have to
// load. A program that imports it must not register any of these errors itself: [mp.RegisterError]
// panics.
//
// Of a type that holds another error, that one arrives as it would alone. Some errors say by a method
// Timeout that a time has passed: they do so after they have arrived, too. Addresses in a *net.OpError
// are those of package net where they can be read, and others otherwise.
//
// These are they:
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
