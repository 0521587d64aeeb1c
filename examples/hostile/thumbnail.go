package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"

	"github.com/go-multiprocessing/mp"
)

var thumbnail = mp.Register("thumbnail", func(_ context.Context, t task) (Thumbnail, error) {
	if t.Deed != "" {
		return Thumbnail{}, commit(t)
	}
	return scaled(t.Data)
})

// A Thumbnail is a small picture as it is sent back: its pixels in rows, four bytes each.
type Thumbnail struct {
	Width, Height int
	Pix           []byte
}

func (t Thumbnail) equal(other Thumbnail) bool {
	return t.Width == other.Width && t.Height == other.Height && bytes.Equal(t.Pix, other.Pix)
}

const (
	thumbnailSize = 64      // of the longer side, in pixels
	maxPixels     = 8 << 20 // of a picture
)

// scaled decodes a picture and makes its thumbnail.
func scaled(data []byte) (Thumbnail, error) {
	// A few bytes can claim to be a gigantic picture. That would merely make a worker run out of
	// memory, but this process decodes the pictures too, to compare the results.
	head, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return Thumbnail{}, err
	}
	if int64(head.Width)*int64(head.Height) > maxPixels {
		return Thumbnail{}, fmt.Errorf("%d by %d pixels are too many", head.Width, head.Height)
	}

	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return Thumbnail{}, err
	}
	if picture.Bounds().Empty() {
		return Thumbnail{}, errors.New("it has no pixels")
	}

	return shrink(picture), nil
}

// shrink makes a thumbnail of a picture. Each pixel of the thumbnail is the nearest pixel of the
// picture. Small pictures keep their size.
func shrink(picture image.Image) Thumbnail {
	from := picture.Bounds()
	longer := max(from.Dx(), from.Dy(), thumbnailSize)
	t := Thumbnail{Width: max(from.Dx()*thumbnailSize/longer, 1), Height: max(from.Dy()*thumbnailSize/longer, 1)}
	for y := range t.Height {
		for x := range t.Width {
			r, g, b, a := picture.At(from.Min.X+nearest(x, t.Width, from.Dx()), from.Min.Y+nearest(y, t.Height, from.Dy())).RGBA()
			t.Pix = append(t.Pix, byte(r>>8), byte(g>>8), byte(b>>8), byte(a>>8))
		}
	}
	return t
}

// nearest returns the pixel in a row of size from that is nearest to the middle of pixel i in a row
// of size to.
func nearest(i, to, from int) int { return (2*i + 1) * from / (2 * to) }
