package main

func ofArch() map[string]call { return nil }
