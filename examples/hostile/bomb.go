package main

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// aBomb is the deed of a picture that is small until it is decoded.
const aBomb = "decodes a picture of 900 MB"

// bomb returns a PNG file of 0.1 MB with a black picture of 30,000 by 30,000 pixels. A pixel takes
// one bit in the file, where the bits are compressed a thousandfold, and one byte when decoded.
var bomb = sync.OnceValue(func() []byte {
	const side = 30_000
	file := bytes.NewBufferString("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		file.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		named := append([]byte(kind), data...)
		file.Write(named)
		file.Write(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(named)))
	}

	head := binary.BigEndian.AppendUint32(nil, side)
	head = binary.BigEndian.AppendUint32(head, side)
	chunk("IHDR", append(head, 1, 0, 0, 0, 0)) // one bit for each pixel, grayscale

	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	row := make([]byte, 1+side/8) // each row begins with the number of its filter: 0, for none
	for range side {
		_, _ = z.Write(row)
	}
	_ = z.Close() // writing to a buffer does not fail
	chunk("IDAT", packed.Bytes())
	chunk("IEND", nil)
	return file.Bytes()
})
