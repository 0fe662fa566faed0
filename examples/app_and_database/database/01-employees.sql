-- This file is UTF-8, whatever the client takes for granted
SET NAMES utf8mb4;

CREATE DATABASE IF NOT EXISTS data_science CHARACTER SET utf8mb4;

USE data_science;

CREATE TABLE IF NOT EXISTS employees (
  id      INT AUTO_INCREMENT PRIMARY KEY,
  name    VARCHAR(100) NOT NULL,
  hobbies TEXT         NOT NULL,
  role    VARCHAR(100) NOT NULL
);

INSERT INTO employees (name, hobbies, role) VALUES
  ('Ada Novak',     'Trail running and restoring old radios.',          'Head of analytics'),
  ('Marko Zupan',   'Chess by post, and baking bread for the office.',  'Database engineer'),
  ('Lena Kovačič',  'Drawing birds. Has seen 214 species so far.',      'Data journalist');
