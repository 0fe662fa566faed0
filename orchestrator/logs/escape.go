package logs

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// MaxPiece is how long a piece of a line may be until it is written without
// waiting for the line's end; it is Docker's.
const MaxPiece = 16 << 10

// nextEntry is the length of the first entry in data: a line with its line
// feed, or a piece of a long one; 0 if its end has not come. It depends on
// nothing after the entry, so that what is cut again is cut in the same way.
func nextEntry(data []byte) int {
	if end := bytes.IndexByte(data[:min(len(data), MaxPiece)], '\n') + 1; end > 0 {
		return end
	}
	if len(data) < MaxPiece {
		return 0
	}
	for end := MaxPiece - 1; end > MaxPiece-utf8.UTFMax; end-- {
		if utf8.RuneStart(data[end]) {
			if !utf8.FullRune(data[end:MaxPiece]) {
				return end // not inside a character
			}
			break
		}
	}
	return MaxPiece
}

// appendEntry appends text as one line of the log.
func appendEntry(dst, text []byte, stream string, at time.Time) []byte {
	dst = append(dst, logKey...)
	dst = appendEscaped(dst, text)
	dst = append(dst, streamKey...)
	dst = append(dst, stream...)
	dst = append(dst, timeKey...)
	dst = at.AppendFormat(dst, time.RFC3339Nano)
	return append(dst, "\"}\n"...)
}

// appendAll appends all of data as lines of the log.
func appendAll(dst, data []byte, stream string, at time.Time) []byte {
	for len(data) > 0 {
		end := nextEntry(data)
		if end == 0 {
			end = len(data)
		}
		dst = appendEntry(dst, data[:end], stream, at)
		data = data[end:]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends text as the inside of a JSON string.
func appendEscaped(dst, text []byte) []byte {
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		var r rune
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRune(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, text[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c >= utf8.RuneSelf:
			dst = append(dst, `\ufffd`...) // not UTF-8
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		i += size
		start = i
	}
	return append(dst, text[start:]...)
}
