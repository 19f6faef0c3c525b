"""The data folder every stage reads, and the sources that fill it: WebDataset shards and COCO-captions folders."""
