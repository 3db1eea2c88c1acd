/* engine/tokenizer_json.c */
