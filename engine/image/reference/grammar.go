package reference

import "strings"

// split takes a reference apart; parts that it does not have are empty.
func split(s string) (r repository, tag, digest string, ok bool) {
	name, digest, digested := strings.Cut(s, "@")
	if digested && !isDigest(digest) {
		return repository{}, "", "", false
	}
	// A colon before the last slash is that of a port.
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
		if !isTag(tag) {
			return repository{}, "", "", false
		}
	}
	r, ok = splitName(name)
	return r, tag, digest, ok
}

func splitName(name string) (r repository, ok bool) {
	if domain, path, found := strings.Cut(name, "/"); found && isDomain(domain) && isPath(path) {
		return repository{domain, path}, true
	}
	return repository{"", name}, isPath(name)
}

func isDomain(s string) bool {
	if address, ok := strings.CutPrefix(s, "["); ok {
		address, port, ok := strings.Cut(address, "]")
		if !ok || !consists(address, func(c byte) bool { return c == ':' || isHex(c) }) {
			return false
		}
		digits, ok := strings.CutPrefix(port, ":")
		return port == "" || ok && consists(digits, isDigit)
	}
	host, port, ok := strings.Cut(s, ":")
	if ok && !consists(port, isDigit) {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !consists(label, func(c byte) bool { return c == '-' || isAlphanumeric(c) }) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

func isPath(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

func isComponent(s string) bool {
	for {
		rest := strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz0123456789")
		if rest == "" || len(rest) == len(s) {
			return s != "" && rest == ""
		}
		s = strings.TrimLeft(rest, "._-")
		switch separator := rest[:len(rest)-len(s)]; {
		case separator == ".", separator == "_", separator == "__", strings.Trim(separator, "-") == "":
		default:
			return false
		}
	}
}

func isTag(s string) bool {
	return len(s) <= 128 && consists(s, func(c byte) bool { return c == '.' || c == '-' || c == '_' || isAlphanumeric(c) }) && s[0] != '.' && s[0] != '-'
}

func isDigest(s string) bool {
	algorithm, hex, ok := strings.Cut(s, ":")
	if !ok || len(hex) < 32 || !consists(hex, isHex) {
		return false
	}
	begins := true // a part of the algorithm's name
	for i := range len(algorithm) {
		switch c := algorithm[i]; {
		case isSmall(c) || isCapital(c) || isDigit(c) && !begins:
			begins = false
		case strings.IndexByte("-_+.", c) >= 0 && !begins:
			begins = true
		default:
			return false
		}
	}
	return !begins
}

// isIdentifier says whether s is what an image's ID looks like.
func isIdentifier(s string) bool {
	return len(s) == 64 && consists(s, func(c byte) bool { return isHex(c) && !isCapital(c) })
}

// consists says whether s has bytes, all of one class.
func consists(s string, class func(byte) bool) bool {
	for i := range len(s) {
		if !class(s[i]) {
			return false
		}
	}
	return s != ""
}

func isSmall(c byte) bool        { return 'a' <= c && c <= 'z' }
func isCapital(c byte) bool      { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool        { return '0' <= c && c <= '9' }
func isAlphanumeric(c byte) bool { return isSmall(c) || isCapital(c) || isDigit(c) }
func isHex(c byte) bool          { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }
